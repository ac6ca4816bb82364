"""One process that performs actions: its own event loop, its own database connections, its own rules."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog

from services.business import repository
from services.business.actions.effects import Effects
from services.business.actions.ledger import Ledger
from services.business.actions.results import DEAD, AttemptFailed, NothingToDo
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.actions import ACTIONS
from services.business.worker.pipe import Done
from shared import faults
from shared.contracts.actions import ActionReference, ActionResult
from shared.queue.outbox import QUEUE_ERRORS
from shared.queue.references import RESULTS, References
from shared.storage.database import Database

__all__ = ["EffectsOf", "Performer"]

log = structlog.get_logger(__name__)

UNNAMED = "unknown"

EffectsOf = Callable[[Settings], AbstractAsyncContextManager[Effects]]
"""What calls foreign systems, opened in the loop that it is used in."""


class Performer:
    """Performs one action at a time; made after the process was forked: neither loop nor connections survive that."""

    def __init__(self, settings: Settings, rules: RuleBook | None, effects: EffectsOf | None = None) -> None:
        faults.configure(settings.faults)
        self._runner = asyncio.Runner()
        self._database = Database(settings.business_database, pool_size=2)
        self._opened = None if effects is None else effects(settings)
        opened = None if self._opened is None else self._runner.run(_open(self._opened))
        self._ledger = Ledger(self._database, rules, settings, opened)
        self._results = References(settings.redis_url, settings.installation, RESULTS)

    def perform(self, reference: ActionReference) -> Done:
        """One attempt at an action, whose result is then announced. Whatever happens, the ledger says what follows."""
        started = time.perf_counter()
        name, outcome, dead = UNNAMED, "retry", False
        try:
            result = self._runner.run(self._perform(reference))
            name, outcome = (result.name if result.name in ACTIONS else UNNAMED), result.status
            dead = result.error_code in DEAD
        except NothingToDo as nothing:
            outcome = nothing.why
        except AttemptFailed:
            pass
        except Exception as error:
            # Most likely the database is away, so that not even the attempt could be counted.
            log.warning("attempt_not_counted", action=reference.id, error=type(error).__name__)
        return Done(name=name, outcome=outcome, seconds=round(time.perf_counter() - started, 4), dead=dead)

    def close(self) -> None:
        """Gives everything back."""
        if self._opened is not None:
            self._runner.run(_close(self._opened))
        self._runner.run(self._results.close())
        self._runner.run(self._database.close())
        self._runner.close()

    async def _perform(self, reference: ActionReference) -> ActionResult:
        result = await self._ledger.perform(reference)
        try:
            await self._results.push(reference)
        except QUEUE_ERRORS as error:
            # The outbox does it later.
            log.warning("result_not_announced", action=reference.id, error=type(error).__name__)
            return result
        async with self._database.transaction(reference.tenant) as session:
            await repository.mark_published(session, reference, result.version)
        return result


async def _open(effects: AbstractAsyncContextManager[Effects]) -> Effects:
    return await effects.__aenter__()


async def _close(effects: AbstractAsyncContextManager[Effects]) -> None:
    await effects.__aexit__(None, None, None)
