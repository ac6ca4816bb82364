"""Actions that wait for a person: one decision, withdrawal or expiry ends the wait, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.business import repository
from services.business.actions.approvals import decide
from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.lookups import look_up
from services.business.shop.seed import seed
from shared.contracts.actions import ActionRequest
from shared.contracts.lookups import LookupRequest
from shared.errors import Conflict, Forbidden
from shared.storage.database import Database, now
from shared.storage.migrations import migrate
from tests.foreign.company import Company
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


async def waiting(company: Company, name: str = "once_approved") -> ActionRequest:
    request = company.request(name, amount=5)
    result = await company.performed(request)
    assert (result.status, result.data, result.version) == ("awaiting_approval", {"amount": 5, "owner": 1}, 1)
    assert await company.foreign.effects(request.id) == 0
    return request


async def test_what_was_approved_is_checked_again_and_done_once(on_both: Company) -> None:
    done, refused = await waiting(on_both), await waiting(on_both)
    for request in (done, done, refused):
        await decide(on_both.database, "default", request.id, "approve", by="agent-7", note=None)

    assert (await on_both.performed(done)).version == 2
    on_both.effects.refuses = "no_longer_possible"
    assert (await on_both.performed(refused)).error_code == "no_longer_possible"
    assert [await on_both.foreign.effects(each.id) for each in (done, refused)] == [1, 0]
    with pytest.raises(Conflict, match="agent-7"):
        await decide(on_both.database, "default", done.id, "reject", by="agent-8", note=None)


async def test_what_was_turned_down_never_happens(on_both: Company) -> None:
    request = await waiting(on_both)
    for _ in range(2):
        await decide(on_both.database, "default", request.id, "reject", by="agent-7", note="no")

    result = await on_both.result(request)
    assert result is not None
    assert (result.status, result.error_code, result.data) == (
        "rejected",
        "approval_rejected",
        {"amount": 5, "owner": 1, "note": "no"},
    )
    assert await on_both.attempt(request) is None
    assert await on_both.foreign.effects(request.id) == 0


async def test_nobody_decides_on_their_own(on_both: Company) -> None:
    request = await waiting(on_both)
    with pytest.raises(Forbidden):
        await decide(on_both.database, "default", request.id, "approve", by="x", note=None, customer="C1")
    assert (await on_both.record(request)).status == "awaiting_approval"


async def test_of_deciders_and_the_expiry_at_once_one_wins(on_both: Company) -> None:
    for _ in range(3):
        request = await waiting(on_both)
        outcomes = await asyncio.gather(
            *(
                decide(on_both.database, "default", request.id, verdict, by=verdict, note=None)
                for verdict in ("approve", "reject")
            ),
            on_both.timers(days=4),
            return_exceptions=True,
        )
        record = await on_both.record(request)
        async with on_both.database.reading("default") as session:
            decision = (await repository.approvals_of(session, [request.id]))[request.id].decision
        assert [outcomes[0] is None, outcomes[1] is None] == [decision == "approve", decision == "reject"]
        assert record.status == ("started" if decision == "approve" else "rejected")
        assert record.result_version == (1 if decision == "approve" else 2)


async def test_it_reminds_every_so_often_and_expires(on_both: Company) -> None:
    request = await waiting(on_both)

    async def reminders() -> int:
        async with on_both.database.reading("default") as session:
            counted = await repository.count_approvals(session)
            found = (await repository.approvals_of(session, [request.id]))[request.id]
        assert counted[found.reminders > 0] == (found.decision is None)
        return found.reminders

    assert await on_both.timers(days=0.9) == 0
    await on_both.timers(days=1.1)
    assert await reminders() == 1
    await on_both.timers(days=2.1)
    assert await reminders() == 2
    await on_both.timers(days=3.1)

    result = await on_both.result(request)
    assert result is not None
    assert (result.status, result.error_code) == ("rejected", "approval_expired")
    with pytest.raises(Conflict, match="in time"):
        await decide(on_both.database, "default", request.id, "approve", by="agent-7", note=None)
    assert await on_both.timers(days=30) == 0
    await reminders()


async def test_a_saga_waits_before_its_first_step(on_both: Company) -> None:
    request = await waiting(on_both, "trip_approved")
    assert await on_both.foreign.effects(f"{request.id}.1") == 0
    await decide(on_both.database, "default", request.id, "approve", by="agent-7", note=None)
    assert (await on_both.performed(request)).status == "succeeded"
