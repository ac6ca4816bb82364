"""Business's outbox: references to actions that are to be performed, and to results that dialogue should fetch.

The ledger says what is due by `resend_at`. A relay in the service and in every worker puts references to it on the
queues; what a crash or a Redis that was away, wiped or tampered with left behind is found the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from services.business import repository
from services.business.actions.results import PUBLISH_GRACE
from services.business.settings import Settings
from shared.contracts.actions import ActionReference
from shared.queue.outbox import pause_after
from shared.queue.references import ACTIONS, RESULTS, References
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["DueReference", "LedgerOutbox"]

MAX_RESEND_SECONDS = 300.0
AWAY = timedelta(seconds=2)

PUBLISHED = Counter("zhiyin_business_results_relayed_total", "Results that the relay announced")
RESENT = Counter("zhiyin_business_actions_resent_total", "Actions that were stuck and were put on the queue again")
LETTERS = Gauge("zhiyin_business_dead_letters_waiting", "Dead letters that were neither tried again nor dismissed")
WAITING = Gauge("zhiyin_business_actions_waiting", "Actions that were accepted and are not done")
UNKNOWN = Gauge("zhiyin_business_unknown_actions", "Calls of which it is unknown whether they had an effect")
OLDEST_UNKNOWN = Gauge("zhiyin_business_oldest_unknown_seconds", "For how long the oldest of them has been unknown")
APPROVALS = Gauge(
    "zhiyin_business_approvals_waiting", "Actions that wait for a person, by whether it was reminded", ["reminded"]
)
OLDEST = Gauge("zhiyin_business_oldest_action_seconds", "For how long the oldest action that is not done has waited")


@dataclass(frozen=True)
class DueReference:
    """A reference to be sent; `version` is that of the result, `None` where the action is to be performed."""

    row: int
    reference: ActionReference
    version: int | None
    again: bool


class LedgerOutbox:
    """Ledger rows whose action or result is to be sent."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._resend_seconds = settings.resend_seconds
        self._actions = References(settings.redis_url, settings.installation, ACTIONS)
        self._results = References(settings.redis_url, settings.installation, RESULTS)

    async def has_due(self, session: AsyncSession, moment: datetime) -> bool:
        """Whether a row is due; also keeps the figures of what waits up to date."""
        LETTERS.set(await repository.count_dead_letters(session))
        waiting, oldest = await repository.backlog(session)
        WAITING.set(waiting)
        OLDEST.set(0 if oldest is None else (moment - oldest).total_seconds())
        unknown, since = await repository.doubtful(session)
        UNKNOWN.set(unknown)
        OLDEST_UNKNOWN.set(0 if since is None else (moment - since).total_seconds())
        for reminded, count in (await repository.count_approvals(session)).items():
            APPROVALS.labels(str(reminded).lower()).set(count)
        return await repository.has_due_records(session, moment)

    async def claim(self, session: AsyncSession, moment: datetime, limit: int) -> Sequence[DueReference]:
        """References to unfinished actions and to results that were not announced."""
        items: list[DueReference] = []
        for row in await repository.due_rows(session, moment, limit):
            reference = ActionReference.model_construct(id=row.action_id, tenant=row.tenant)
            if row.published_version < row.result_version:
                await repository.postpone(session, [row.id], moment + PUBLISH_GRACE, sends=0)
                items.append(DueReference(row.id, reference, row.result_version, again=False))
            elif row.status == "started":
                pause = pause_after(row.sends + 1, first_seconds=self._resend_seconds, most_seconds=MAX_RESEND_SECONDS)
                await repository.postpone(session, [row.id], moment + pause, sends=1)
                items.append(DueReference(row.id, reference, None, again=row.sends > 0))
            else:
                await repository.postpone(session, [row.id], None, sends=0)
        return items

    async def send(self, item: DueReference) -> None:
        """Announce a result and mark it, or have an action performed."""
        if item.version is None:
            await self._actions.push(item.reference)
            if item.again:
                RESENT.inc()
            return
        await self._results.push(item.reference)
        PUBLISHED.inc()
        async with self._database.transaction(item.reference.tenant) as session:
            await repository.mark_published(session, item.reference, item.version)

    async def failed(self, item: DueReference, error: Exception) -> None:
        """Nothing in a row can keep it from being sent, so it is only tried again at its time."""

    async def put_off(self, items: Sequence[DueReference]) -> None:
        """Have these sent soon after the queue is back."""
        async with self._database.transaction(ALL_TENANTS) as session:
            waiting = [item.row for item in items]
            await repository.postpone(session, waiting, now() + AWAY, sends=0)

    async def close(self) -> None:
        """Give the connections back."""
        await self._actions.close()
        await self._results.close()
