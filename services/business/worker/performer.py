"""One process that performs actions: its own event loop, its own database connections, its own rules."""

import asyncio
import time
from typing import Any

import structlog
from pydantic import ValidationError

from services.business import repository
from services.business.actions.ledger import AttemptFailed, Ledger, describe
from services.business.actions.publisher import ResultPublisher
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.actions import ACTIONS
from services.business.worker.pipe import Done
from shared import faults
from shared.contracts.actions import ActionRequest, ActionResult
from shared.queue.outbox import QUEUE_ERRORS
from shared.storage.database import Database

__all__ = ["Performer"]

log = structlog.get_logger(__name__)


class Performer:
    """Performs one action at a time; made after the process was forked: neither loop nor connections survive that."""

    def __init__(self, settings: Settings, rules: RuleBook) -> None:
        faults.configure(settings.faults)
        self._runner = asyncio.Runner()
        self._database = Database(settings.business_database, pool_size=2)
        self._ledger = Ledger(self._database, rules, settings)
        self._publisher = ResultPublisher(settings.redis_url)

    def perform(self, payload: Any) -> Done:
        """One attempt at the action in a message, whose result is then published.

        Raises:
            AttemptFailed: it did not work this time; the message should come again.
        """
        started = time.perf_counter()
        try:
            name, outcome = self._runner.run(self._perform(payload))
        except AttemptFailed:
            raise
        except Exception as error:
            # Most likely the database is away, so that not even the attempt could be counted.
            log.warning("attempt_not_counted", error=type(error).__name__)
            raise AttemptFailed(describe(error)) from error
        return Done(name=name, outcome=outcome, seconds=round(time.perf_counter() - started, 4))

    def close(self) -> None:
        """Gives everything back."""
        self._runner.run(self._database.close())
        self._runner.close()
        self._publisher.close()

    async def _perform(self, payload: Any) -> tuple[str, str]:
        try:
            request = ActionRequest.model_validate(payload)
        except ValidationError as error:
            first = error.errors()[0]
            await self._ledger.bury(payload, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
            return "unknown", "malformed"
        name = request.name if request.name in ACTIONS else "unknown"
        result = await self._ledger.perform(request)
        if result is None:
            return name, "busy"
        await self._publish(result)
        return name, result.status

    async def _publish(self, result: ActionResult) -> None:
        """Publish the result for the conversation; the outbox does it later if the queue is away now."""
        try:
            self._publisher.publish(result)
        except QUEUE_ERRORS as error:
            log.warning("result_not_published", action=result.action_id, error=type(error).__name__)
            return
        async with self._database.transaction(result.tenant) as session:
            await repository.mark_published(session, result)
