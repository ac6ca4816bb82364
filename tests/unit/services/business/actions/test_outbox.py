"""What the ledger's outbox sends, and when: results that were not published, actions that never ended."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.business import repository
from services.business.actions.approvals import decide, try_again
from services.business.actions.ledger import PUBLISH_GRACE, AttemptFailed, Ledger
from services.business.actions.outbox import LedgerOutbox
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from shared.contracts.actions import ActionRequest, ActionResult
from shared.storage.database import ALL_TENANTS, Database, now

Ask = Any
LIMIT = 10
LATER = timedelta(hours=1)


@pytest.fixture
def outbox(settings: Settings, database: Database) -> LedgerOutbox:
    return LedgerOutbox(settings, database)


async def claim(outbox: LedgerOutbox, database: Database, moment: datetime) -> Sequence[Any]:
    async with database.transaction(ALL_TENANTS) as session:
        items = await outbox.claim(session, moment, LIMIT)
    async with database.reading(ALL_TENANTS) as session:
        assert not await outbox.has_due(session, moment)
    return items


async def publish(database: Database, result: ActionResult) -> None:
    async with database.transaction(result.tenant) as session:
        await repository.mark_published(session, result)


async def perform(ledger: Ledger, request: ActionRequest) -> ActionResult:
    result = await ledger.perform(request)
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
    assert await claim(outbox, database, now() + PUBLISH_GRACE) == [result]


async def test_a_result_is_sent_until_it_is_marked(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    result = await perform(ledger, ask())

    for hours in (1, 2):
        assert await claim(outbox, database, now() + hours * LATER) == [result]
    await publish(database, result)

    assert await claim(outbox, database, now() + 3 * LATER) == []


async def test_a_decision_is_sent_at_once(outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask) -> None:
    request = ask(order_number="20261103004")
    await publish(database, await perform(ledger, request))

    await decide(database, "default", request.id, "approve", by="agent", note=None)

    (result,) = await claim(outbox, database, now())
    assert (result.status, result.version) == ("succeeded", 2)


async def test_an_action_that_never_ended_is_sent_again(
    outbox: LedgerOutbox, database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    request = ask()
    with pytest.raises(AttemptFailed):
        await hopeless(database, rules, settings).perform(request)

    assert await claim(outbox, database, now()) == []
    (sent,) = await claim(outbox, database, now() + LATER)
    assert ActionRequest.model_validate(sent) == request


async def test_a_retried_action_is_sent_whenever_its_old_result_is_marked(
    outbox: LedgerOutbox, database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    request = ask()
    failed = await perform(hopeless(database, rules, settings, max_attempts=1), request)
    async with database.reading("default") as session:
        (letter,) = await repository.dead_letters_after(session, 0, LIMIT)
    await try_again(database, "default", letter.id, by="operator")

    assert await claim(outbox, database, now()) == [failed]
    await publish(database, failed)

    (sent,) = await claim(outbox, database, now() + PUBLISH_GRACE)
    assert sent["id"] == request.id


async def test_a_result_of_the_release_before_is_sent(
    outbox: LedgerOutbox, database: Database, ledger: Ledger, ask: Ask
) -> None:
    request = ask()
    result = await perform(ledger, request)
    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.resend_at = None

    assert await claim(outbox, database, now()) == [result]


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
