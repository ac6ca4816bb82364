"""Business's outbox: results that are stored and not published, and actions that were begun and never ended.

The worker publishes a result right after the commit that stored it. What a crash or a queue that was away left behind
is found here by the ledger row's `resend_at`.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from services.business import repository
from services.business.actions.ledger import PUBLISH_GRACE, stored_result
from services.business.actions.publisher import ResultPublisher
from services.business.models import ActionRecord
from services.business.settings import Settings
from shared.contracts.actions import PERFORM_TASK, ActionResult
from shared.queue.celery import ACTIONS, celery_app
from shared.storage.database import Database

__all__ = ["LedgerOutbox"]

PUBLISHED = Counter("zhiyin_business_results_relayed_total", "Results that the relay published")
RESENT = Counter("zhiyin_business_actions_resent_total", "Actions that were stuck and were put on the queue again")
LETTERS = Gauge("zhiyin_business_dead_letters_waiting", "Dead letters that nobody has tried again")


class LedgerOutbox:
    """Ledger rows whose action or result is to be sent."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._resend = timedelta(seconds=settings.resend_seconds)
        self._publisher = ResultPublisher(settings.redis_url)
        self._celery = celery_app("business", settings.redis_url)

    async def has_due(self, session: AsyncSession, moment: datetime) -> bool:
        """Whether a row is due; also keeps the figure of waiting dead letters up to date."""
        LETTERS.set(await repository.count_dead_letters(session))
        return await repository.has_due_records(session, moment)

    async def claim(
        self, session: AsyncSession, moment: datetime, limit: int
    ) -> Sequence[ActionResult | dict[str, Any]]:
        """Results to be published, and requests of unfinished actions to be queued again."""
        items = [self._postponed(record, moment) for record in await repository.due_records(session, moment, limit)]
        return [item for item in items if item is not None]

    def _postponed(self, record: ActionRecord, moment: datetime) -> ActionResult | dict[str, Any] | None:
        """What is to be sent of the row, which is due again after a pause; `None` if nothing is left to send."""
        result = stored_result(record)
        if result is not None and record.published_version < result.version:
            record.resend_at = moment + PUBLISH_GRACE
            return result
        if record.status == "started":
            record.resend_at = moment + self._resend
            return record.request
        record.resend_at = None
        return None

    async def send(self, item: ActionResult | dict[str, Any]) -> None:
        """Publish a result and mark it, or put an action on the queue again."""
        if isinstance(item, ActionResult):
            await asyncio.to_thread(self._publisher.publish, item)
            PUBLISHED.inc()
            async with self._database.transaction(item.tenant) as session:
                await repository.mark_published(session, item)
        else:
            await asyncio.to_thread(
                self._celery.send_task, PERFORM_TASK, kwargs={"action": item}, task_id=item["id"], queue=ACTIONS
            )
            RESENT.inc()

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.to_thread(self._publisher.close)
        await asyncio.to_thread(self._celery.close)
