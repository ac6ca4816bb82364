"""A decision and the customer's withdrawal at once, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.business.actions.approvals import decide
from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.lookups import look_up
from services.business.shop.seed import seed
from shared.contracts.actions import ActionRequest
from shared.contracts.lookups import LookupRequest
from shared.errors import Conflict
from shared.storage.database import Database, now
from shared.storage.migrations import migrate
from tests.postgres import Postgres
from tests.unit.services.business.performing import perform


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "business", url)
    database = Database(url)
    await seed(database, "default")
    yield database
    await database.close()


def action(id: str, name: str, **arguments: str) -> ActionRequest:
    return ActionRequest(
        id=id,
        tenant="default",
        name=name,
        customer="C1001",
        conversation_id="c1",
        arguments=dict(arguments),
        requested_at=now(),
    )


async def test_of_a_decision_and_a_withdrawal_at_once_one_counts(database: Database) -> None:
    settings = Settings()
    rules = RuleBook(settings.rules_dir)
    ledger = Ledger(database, rules, settings)

    async def status() -> str:
        request = LookupRequest(customer="C1001", arguments={})
        answer = await database.read("default", lambda unit: look_up(unit, rules, "requests", request))
        return str(answer.data["requests"][0]["status"])

    async def withdraw(number: int) -> bool:
        result = await perform(ledger, action(f"withdraw-{number}", "withdraw", request=f"R{number:06d}"))
        assert result is not None
        return result.status == "succeeded"

    async def approve(number: int) -> bool:
        try:
            await decide(database, "default", f"refund-{number}", "approve", by="agent-7", note=None)
        except Conflict:
            return False
        return True

    for number in range(1, 6):
        asked = await perform(ledger, action(f"refund-{number}", "refund", order_number="20261103004", reason="坏了"))
        assert asked is not None
        assert asked.status == "awaiting_approval"
        assert await status() == "pending"
        calls = (withdraw(number), approve(number)) if number % 2 else (approve(number), withdraw(number))
        first, second = await asyncio.gather(*calls)
        assert first != second
        approved = second if number % 2 else first
        assert await status() == ("done" if approved else "withdrawn")
        if approved:
            break
