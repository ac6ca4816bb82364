import asyncio
import os
import socket
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from services.business import repository
from services.business.actions.ledger import BEFORE_COMMIT, Ledger
from services.business.actions.results import GAVE_UP, UNREADABLE, AttemptFailed, NothingToDo
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.models import Refund, Ticket
from services.business.shop.seed import seed
from shared import faults
from shared.contracts.actions import ActionReference, ActionRequest, ActionResult
from shared.errors import Conflict
from shared.storage.database import Database, now
from tests.unit.services.business.performing import perform

Ask = Any


async def refunds(database: Database, tenant: str = "default") -> int:
    async with database.reading(tenant) as session:
        return await session.scalar(select(func.count(Refund.id))) or 0


async def record_of(database: Database, request: ActionRequest) -> ActionRecord:
    async with database.reading(request.tenant) as session:
        record = await repository.find_action(session, request.id)
    assert record is not None
    return record


async def attempts_of(database: Database, request: ActionRequest) -> int:
    async with database.reading(request.tenant) as session:
        record = await repository.find_action(session, request.id)
    return 0 if record is None else record.attempts


async def letters(database: Database) -> Sequence[DeadLetter]:
    async with database.reading("default") as session:
        return await repository.dead_letters_after(session, 0, 100)


async def break_tickets(database: Database) -> None:
    async with database.transaction("default") as session:
        await session.execute(text("ALTER TABLE tickets RENAME TO tickets_away"))


async def mend_tickets(database: Database) -> None:
    async with database.transaction("default") as session:
        await session.execute(text("ALTER TABLE tickets_away RENAME TO tickets"))


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(deliveries=st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=4))
async def test_an_id_has_its_effect_once_however_often_and_concurrently_it_comes(
    settings: Settings, database: Database, rules: RuleBook, ask: Ask, deliveries: list[int]
) -> None:
    """Each number is how many deliveries come at once; each goes to a process of its own."""
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    await seed(database, tenant)
    request = ask("refund", tenant=tenant)
    databases = [Database(settings.business_database) for _ in range(max(deliveries))]
    ledgers = [Ledger(each, rules, settings) for each in databases]
    try:
        results: list[ActionResult | None] = []
        for at_once in deliveries:
            results += await asyncio.gather(*(perform(ledger, request) for ledger in ledgers[:at_once]))
    finally:
        for each in databases:
            await each.close()

    assert len({result.model_dump_json() for result in results if result is not None}) == 1
    assert results[0] is not None
    assert results[0].status == "succeeded"
    assert await refunds(database, tenant) == 1


async def test_different_actions_at_once_refund_an_order_once(
    settings: Settings, database: Database, rules: RuleBook, ask: Ask
) -> None:
    databases = [Database(settings.business_database) for _ in range(4)]
    results = await asyncio.gather(*(perform(Ledger(each, rules, settings), ask("refund")) for each in databases))
    for each in databases:
        await each.close()

    statuses = sorted(result.status for result in results if result is not None)
    assert statuses == ["rejected", "rejected", "rejected", "succeeded"]
    assert await refunds(database) == 1


async def test_the_first_request_of_an_id_stands(ledger: Ledger, database: Database, ask: Ask) -> None:
    first = ask("refund", order_number="20261103003")
    later = first.model_copy(update={"requested_at": now(), "request_id": "again"})
    await ledger.accept(first)

    for other in (
        ask("refund", id=first.id, order_number="20261103002"),
        ask("refund", id=first.id, order_number="20261103003", customer="C1002"),
        ask("open_ticket", id=first.id, subject="坏了"),
    ):
        with pytest.raises(Conflict):
            await ledger.accept(other)

    result = await ledger.perform(first)
    assert (await ledger.accept(later)).result == result
    assert await refunds(database) == 1


@pytest.mark.parametrize("status", ["succeeded", "failed", "awaiting_approval"])
async def test_a_reference_to_what_is_done_does_nothing(
    ledger: Ledger, database: Database, ask: Ask, status: str
) -> None:
    request = ask("refund")
    await ledger.accept(request)
    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.status = status

    with pytest.raises(NothingToDo, match="done"):
        await ledger.perform(request)

    assert await refunds(database) == 0


@pytest.mark.parametrize("wrong", [{"id": "nobody.0"}, {"tenant": "other"}])
async def test_a_reference_to_what_nobody_asked_for_does_nothing(
    ledger: Ledger, database: Database, ask: Ask, wrong: dict[str, str]
) -> None:
    request = ask("refund")
    await ledger.accept(request)

    with pytest.raises(NothingToDo, match="unknown"):
        await ledger.perform(ActionReference(id=request.id, tenant="default").model_copy(update=wrong))

    assert await attempts_of(database, request) == 0


async def test_references_that_are_repeated_use_up_no_attempts(
    settings: Settings, database: Database, rules: RuleBook, ask: Ask
) -> None:
    patient = Ledger(database, rules, settings.model_copy(update={"retry_seconds": 60, "action_seconds": 1e-9}))
    request = ask("refund")
    await patient.accept(request)
    with pytest.raises(AttemptFailed):
        await patient.perform(request)

    for _ in range(2 * settings.max_attempts):
        with pytest.raises(NothingToDo, match="early"):
            await patient.perform(request)

    assert await attempts_of(database, request) == 1


@pytest.mark.parametrize(("process", "goes_on"), [("elsewhere/1/1", False), ("here/1", False), ("this", True)])
async def test_an_attempt_that_may_be_under_way_elsewhere_is_left_alone(
    ledger: Ledger, database: Database, ask: Ask, process: str, goes_on: bool
) -> None:
    """Process 1 of this machine runs; this very process makes one attempt at a time."""
    here = socket.gethostname()
    running = {"here/1": f"{here}/1/{began(1)}", "this": f"{here}/{os.getpid()}/{began(os.getpid())}"}
    request = ask("refund")
    await ledger.accept(request)
    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.running_until, record.running_on = now() + timedelta(seconds=60), running.get(process, process)

    if goes_on:
        assert (await ledger.perform(request)).status == "succeeded"
    else:
        with pytest.raises(NothingToDo, match="busy"):
            await ledger.perform(request)
    assert await refunds(database) == int(goes_on)


def began(pid: int) -> str:
    """When a process began, in the kernel's ticks."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]


async def test_an_attempt_of_a_process_that_has_ended_is_followed_by_another(
    ledger: Ledger, database: Database, ask: Ask
) -> None:
    request = ask("refund")
    await ledger.accept(request)
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.running_until = now() + timedelta(seconds=60)
        record.running_on = f"{socket.gethostname()}/{ended.pid}/1"

    assert (await ledger.perform(request)).status == "succeeded"


@pytest.mark.parametrize("stored", ["{}", "not json", '{"id": "another", "tenant": "default"}', "[]", "7"])
async def test_a_request_that_cannot_be_read_is_given_up_and_the_rest_goes_on(
    ledger: Ledger, database: Database, ask: Ask, stored: str
) -> None:
    spoiled = ask("refund")
    await ledger.accept(spoiled)
    async with database.transaction("default") as session:
        await session.execute(text("UPDATE actions SET request = :stored"), {"stored": stored})

    result = await ledger.perform(spoiled)

    assert (result.status, result.error_code) == ("failed", UNREADABLE)
    (letter,) = await letters(database)
    assert (letter.action_id, letter.error) == (spoiled.id, UNREADABLE)
    assert (await perform(ledger, ask("refund"))) is not None
    assert await refunds(database) == 1


async def test_the_same_id_in_two_tenants_is_two_actions(ledger: Ledger, database: Database, ask: Ask) -> None:
    await seed(database, "other")
    here = await perform(ledger, ask("refund", id="same"))
    there = await perform(ledger, ask("refund", id="same", tenant="other"))

    assert here is not None
    assert there is not None
    assert (here.status, there.status) == ("succeeded", "succeeded")
    assert (await refunds(database), await refunds(database, "other")) == (1, 1)


async def test_an_attempt_that_was_cut_off_leaves_nothing_but_its_count(
    ledger: Ledger, database: Database, ask: Ask
) -> None:
    request = ask("refund")
    faults.configure({BEFORE_COMMIT: 60})
    try:
        attempt = asyncio.create_task(perform(ledger, request))
        await asyncio.wait({attempt}, timeout=0.3)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
    finally:
        faults.configure({})

    assert await refunds(database) == 0
    record = await record_of(database, request)
    assert (record.status, record.attempts) == ("started", 1)

    result = await perform(ledger, request)
    assert result is not None
    assert result.status == "succeeded"
    assert await refunds(database) == 1
    assert (await record_of(database, request)).attempts == 2


async def test_what_takes_too_long_is_rolled_back_and_counts_as_failed(
    settings: Settings, database: Database, rules: RuleBook, ask: Ask
) -> None:
    ledger = Ledger(database, rules, settings.model_copy(update={"action_seconds": 0.2}))
    request = ask("refund")
    faults.configure({BEFORE_COMMIT: 60})
    try:
        with pytest.raises(AttemptFailed, match="TimeoutError"):
            await perform(ledger, request)
    finally:
        faults.configure({})

    assert await refunds(database) == 0
    assert (await record_of(database, request)).last_error == "TimeoutError"


async def test_what_always_fails_is_given_up_at_the_cap_and_the_rest_goes_on(
    ledger: Ledger, database: Database, settings: Settings, ask: Ask
) -> None:
    poison = ask("open_ticket", subject="坏了")
    await break_tickets(database)

    for _ in range(settings.max_attempts - 1):
        with pytest.raises(AttemptFailed, match="no such table: tickets"):
            await perform(ledger, poison)
    given_up = await perform(ledger, poison)

    assert given_up is not None
    assert (given_up.status, given_up.error_code, given_up.version) == ("failed", GAVE_UP, 1)
    assert await perform(ledger, poison) == given_up
    (letter,) = await letters(database)
    assert (letter.action_id, letter.name, letter.attempts) == (poison.id, "open_ticket", settings.max_attempts)
    assert "坏了" not in letter.error
    healthy = await perform(ledger, ask("refund"))
    assert healthy is not None
    assert healthy.status == "succeeded"


async def test_what_fails_and_is_mended_succeeds(ledger: Ledger, database: Database, ask: Ask) -> None:
    request = ask("open_ticket", subject="坏了")
    await break_tickets(database)
    with pytest.raises(AttemptFailed):
        await perform(ledger, request)
    await mend_tickets(database)

    result = await perform(ledger, request)

    assert result is not None
    assert result.status == "succeeded"
    async with database.reading("default") as session:
        assert await session.scalar(select(func.count(Ticket.id))) == 1


async def kill_all_attempts(ledger: Ledger, database: Database, settings: Settings, request: ActionRequest) -> None:
    """As many attempts as there may be, each of which ended its process."""
    faults.configure({BEFORE_COMMIT: 60})
    try:
        for count in range(1, settings.max_attempts + 1):
            attempt = asyncio.create_task(perform(ledger, request))
            while await attempts_of(database, request) < count:
                await asyncio.wait({attempt}, timeout=0.01)
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
    finally:
        faults.configure({})


async def test_the_last_attempt_is_waited_for_before_an_action_is_given_up(
    ledger: Ledger, database: Database, settings: Settings, ask: Ask
) -> None:
    request = ask("refund")
    await kill_all_attempts(ledger, database, settings, request)

    assert await perform(ledger, request) is None

    async with database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.running_until = now() - timedelta(seconds=1)
    given_up = await perform(ledger, request)
    assert given_up is not None
    assert (given_up.status, given_up.error_code) == ("failed", GAVE_UP)
    (letter,) = await letters(database)
    assert letter.error == "its process ended"
    assert await refunds(database) == 0


async def test_a_failure_that_cannot_be_counted_because_somebody_else_was_done_tells_their_result(
    ledger: Ledger, database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    request = ask("refund")
    slow = Ledger(database, rules, settings.model_copy(update={"action_seconds": 0.3}))
    other = Database(settings.business_database)
    faults.configure({BEFORE_COMMIT: 60})
    failing = asyncio.create_task(perform(slow, request))
    await asyncio.wait({failing}, timeout=0.15)
    faults.configure({})
    overtaking = asyncio.create_task(perform(Ledger(other, rules, settings), request))

    outcomes = await asyncio.gather(failing, overtaking, return_exceptions=True)
    await other.close()

    succeeded = [each for each in outcomes if isinstance(each, ActionResult)]
    assert succeeded
    assert {each.status for each in succeeded} == {"succeeded"}
    assert await refunds(database) == 1
