"""What the ledger's outbox sends, and when: results that were not published, actions that never ended."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.business import repository
from services.business.actions.approvals import decide
from services.business.actions.ledger import Ledger
from services.business.actions.letters import try_again
from services.business.actions.outbox import DueReference, LedgerOutbox
from services.business.actions.results import PUBLISH_GRACE, AttemptFailed
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from shared.contracts.actions import ActionReference, ActionRequest, ActionResult
from shared.storage.database import ALL_TENANTS, Database, now
from tests.unit.services.business import performing

Ask = Any
LIMIT = 10
LATER = timedelta(hours=1)


@pytest.fixture
def outbox(settings: Settings, database: Database) -> LedgerOutbox:
    return LedgerOutbox(settings, database)


def result_of(item: DueReference) -> tuple[str, int | None]:
    return item.reference.id, item.version


async def claim(outbox: LedgerOutbox, database: Database, moment: datetime) -> Sequence[tuple[str, int | None]]:
    """Ids, and the version of the result where it is about that."""
    async with database.transaction(ALL_TENANTS) as session:
        items = await outbox.claim(session, moment, LIMIT)
    async with database.reading(ALL_TENANTS) as session:
        assert not await outbox.has_due(session, moment)
    return [result_of(item) for item in items]


async def publish(database: Database, result: ActionResult) -> None:
    async with database.transaction(result.tenant) as session:
        await repository.mark_published(session, reference_to(result), result.version)


def reference_to(result: ActionResult) -> ActionReference:
    return ActionReference(id=result.action_id, tenant=result.tenant)


def announced(result: ActionResult) -> tuple[str, int | None]:
    return result.action_id, result.version


async def perform(ledger: Ledger, request: ActionRequest) -> ActionResult:
    result = await performing.perform(ledger, request)
    assert result is not None
    return result


def hopeless(database: Database, rules: RuleBook, settings: Settings, **changes: object) -> Ledger:
    """A ledger in which every attempt fails."""
    return Ledger(database, rules, settings.model_copy(update={"action_seconds": 1e-9} | changes))


async def test_the_worker_has_a_moment_to_publish_by_itself(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    begun = now()
    result = await perform(ledger, ask())

    assert await claim(outbox, database, begun) == []
    assert await claim(outbox, database, now() + PUBLISH_GRACE) == [announced(result)]


async def test_a_result_is_sent_until_it_is_marked(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    result = await perform(ledger, ask())

    for hours in (1, 2):
        assert await claim(outbox, database, now() + hours * LATER) == [announced(result)]
    await publish(database, result)

    assert await claim(outbox, database, now() + 3 * LATER) == []


async def test_a_decision_is_sent_at_once(outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask) -> None:
    request = ask(order_number="20261103004")
    await publish(database, await perform(ledger, request))

    await decide(database, "default", request.id, "approve", by="agent", note=None)

    assert await claim(outbox, database, now()) == [(request.id, 2)]


async def test_an_action_that_never_ended_is_sent_again(
    outbox: LedgerOutbox, database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    request = ask()
    with pytest.raises(AttemptFailed):
        await perform(hopeless(database, rules, settings, retry_seconds=20), request)

    assert await claim(outbox, database, now()) == []
    assert await claim(outbox, database, now() + LATER) == [(request.id, None)]


async def test_a_retried_action_is_sent_whenever_its_old_result_is_marked(
    outbox: LedgerOutbox, database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    request = ask()
    failed = await perform(hopeless(database, rules, settings, max_attempts=1), request)
    async with database.reading("default") as session:
        (letter,) = await repository.dead_letters_after(session, 0, LIMIT)
    await try_again(database, "default", letter.id, by="operator")

    assert await claim(outbox, database, now()) == [announced(failed)]
    await publish(database, failed)

    assert await claim(outbox, database, now() + PUBLISH_GRACE) == [(request.id, None)]


async def test_a_result_of_the_release_before_is_sent(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    request = ask()
    result = await perform(ledger, request)
    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.resend_at = None

    assert await claim(outbox, database, now()) == [announced(result)]


async def test_a_result_that_the_release_before_published_is_not_sent(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    request = ask()
    await perform(ledger, request)
    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.published_version = 1

    assert await claim(outbox, database, now() + LATER) == []


async def test_an_action_is_queued_as_soon_as_it_is_accepted_and_then_after_growing_pauses(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, settings: Settings, ask: Ask
) -> None:
    request = ask()
    await ledger.accept(request)

    moment = now()
    for pause in (1, 2, 4, 8):
        assert await claim(outbox, database, moment) == [(request.id, None)]
        assert await claim(outbox, database, moment + 0.7 * pause * timedelta(seconds=settings.resend_seconds)) == []
        moment += pause * timedelta(seconds=settings.resend_seconds)


async def test_what_could_not_be_queued_is_due_soon_and_with_the_pauses_it_had(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    await ledger.accept(ask())
    for _ in range(5):
        async with database.transaction(ALL_TENANTS) as session:
            items = await outbox.claim(session, now() + LATER, LIMIT)
        await outbox.put_off(items)
    async with database.reading(ALL_TENANTS) as session:
        assert await outbox.has_due(session, now() + timedelta(seconds=3))


@pytest.mark.parametrize("column", ["request", "result"])
async def test_a_row_that_cannot_be_read_keeps_no_other_from_being_sent(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask, column: str
) -> None:
    spoiled, healthy = ask(), ask("open_ticket", subject="坏了")
    await perform(ledger, spoiled)
    await ledger.accept(healthy)
    async with database.transaction("default") as session:
        await session.execute(
            text(f"UPDATE actions SET {column} = 'no json' WHERE action_id = :action"), {"action": spoiled.id}
        )

    assert sorted(await claim(outbox, database, now() + LATER)) == sorted([(spoiled.id, 1), (healthy.id, None)])
