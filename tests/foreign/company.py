"""A company whose ledger is on a database, and whose actions go to a foreign system."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from cli.process import wait_until
from services.business import repository
from services.business.actions import repository as rows
from services.business.actions.approvals import EXPIRY, REMINDER, ApprovalTimers
from services.business.actions.ledger import Ledger
from services.business.actions.repository import TIMERS
from services.business.actions.results import AttemptFailed, NothingToDo
from services.business.actions.unknown import RECONCILE, Reconciler
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from shared.contracts.actions import ActionRequest, ActionResult
from shared.storage.database import Database, now
from shared.storage.migrations import migrate
from shared.storage.statements import Unit
from shared.storage.timers import TimerLoop
from tests.foreign.effects import HttpEffects, opened
from tests.foreign.killed import QUICK
from tests.foreign.running import Foreign

__all__ = ["SECONDS", "Company", "company_on"]

SECONDS = 60.0
RULES = RuleBook(Settings().rules_dir)


class Company:
    """A ledger on a database, and the system that its actions go to."""

    def __init__(self, url: str, foreign: Foreign, effects: HttpEffects, **settings: Any) -> None:
        self.settings = Settings(database_url=url, **{**QUICK, **settings})
        self.database = Database(url)
        self.foreign = foreign
        self.effects = effects
        self.ledger = Ledger(self.database, RULES, self.settings, effects)

    def request(self, name: str, **arguments: Any) -> ActionRequest:
        return ActionRequest(
            id=uuid.uuid4().hex, tenant="default", name=name, customer="C1", conversation_id="c1",
            arguments=arguments, requested_at=now(),
        )  # fmt: skip

    async def attempt(self, request: ActionRequest) -> ActionResult | None:
        """One attempt at an action, if one is to be made now."""
        try:
            return await self.ledger.perform(request)
        except (AttemptFailed, NothingToDo):
            return None

    async def performed(self, request: ActionRequest) -> ActionResult:
        """Attempts until there is a result."""
        await self.ledger.accept(request)
        found: list[ActionResult] = []

        async def ended() -> bool:
            found.extend(each for each in [await self.attempt(request)] if each is not None)
            return bool(found)

        assert await wait_until(ended, SECONDS)
        return found[0]

    async def timers(self, days: float = 0) -> int:
        """What is due so much later."""
        waits = ApprovalTimers(self.database)
        handlers = {
            EXPIRY: waits.on_expiry,
            REMINDER: waits.on_reminder,
            RECONCILE: Reconciler(self.database, self.settings).on_timer,
        }
        moment = now()
        loop = TimerLoop(self.database, TIMERS, handlers, clock=lambda: moment + timedelta(days=days))
        return await loop.look()

    async def record(self, request: ActionRequest) -> ActionRecord:
        async with self.database.reading("default") as session:
            record = await repository.find_action(session, request.id)
        assert record is not None
        return record

    async def result(self, request: ActionRequest) -> ActionResult | None:
        return (await self.ledger.accept(request)).result

    async def letters(self) -> Sequence[DeadLetter]:
        async with self.database.reading("default") as session:
            return await repository.dead_letters_after(session, 0, 1000, waiting=True)

    async def long_ago(self, request: ActionRequest, days: float) -> None:
        """Moves the call of an action into the past."""

        def work(unit: Unit) -> None:
            for effect in rows.effects_of(unit, request.id).values():
                assert effect.unknown_at is not None
                effect.unknown_at -= timedelta(days=days)
                rows.save_effect(unit, effect, now())

        await self.database.write("default", work)

    async def unknown(self) -> int:
        async with self.database.reading("default") as session:
            return (await repository.doubtful(session))[0]


@asynccontextmanager
async def company_on(url: str, foreign: Foreign, **settings: Any) -> AsyncIterator[Company]:
    await asyncio.to_thread(migrate, "business", url)
    await foreign.meets()
    async with opened(foreign.url) as effects:
        company = Company(url, foreign, effects, **settings)
        try:
            yield company
        finally:
            await company.database.close()
