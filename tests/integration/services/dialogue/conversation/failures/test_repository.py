"""What turns that fail leave in the store, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.dialogue.conversation import repository
from services.dialogue.conversation.failures import repository as failures
from services.dialogue.conversation.failures.repository import Failing
from services.dialogue.conversation.models import ASSISTANT, QUEUE
from services.dialogue.conversation.repository import Appended, Draft, EntryRow, HandoffDraft
from shared.errors import Conflict, NotFound
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate
from shared.storage.statements import Unit
from tests.postgres import Postgres

SOON = timedelta(seconds=60)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)

    def begin(unit: Unit) -> None:
        row = repository.add_conversation(unit, "c1", owner="me", customer=None, assistant="shop", language="zh")
        for number in (1, 2):
            repository.append_message(unit, row, message_id=f"m{number}", text="hello", choice=None, customer=None)

    await database.write("default", begin)
    yield database
    await database.close()


async def failing(database: Database, tenant: str = "default") -> Failing | None:
    return await database.read(tenant, lambda unit: failures.failing(unit, "c1"))


async def found(database: Database, seconds: float) -> tuple[int, int]:
    """How many are forgotten and how many are to be retried, so many seconds from now."""
    moment = now() + timedelta(seconds=seconds)
    async with database.reading(ALL_TENANTS) as session:
        forgotten = await failures.forgotten(session, moment, 10)
        return len(forgotten), len(await failures.to_be_retried(session, moment, 10))


async def answer(database: Database, by: str = ASSISTANT) -> None:
    def append(unit: Unit) -> Appended:
        conversation = repository.find_conversation(unit, "c1")
        message = repository.next_unanswered(unit, conversation)
        return repository.append_replies(
            unit,
            conversation,
            drafts=[Draft(text="a")],
            state={"turn": 1},
            language="zh",
            answers=message,
            customer=None,
            by=by,
        )

    await database.write("default", append)


async def test_a_conversation_is_looked_for_until_its_last_message_is_answered(database: Database) -> None:
    assert await found(database, 1) == (1, 0)
    await answer(database)
    assert await found(database, 1) == (1, 0)
    await answer(database)
    assert await found(database, 1) == (0, 0)
    assert await failing(database) is None


async def test_an_attempt_puts_it_off_and_an_answer_ends_that(database: Database) -> None:
    seen = await failing(database)
    assert seen is not None
    assert await database.write("default", lambda unit: failures.count_try(unit, seen, retry_at=now() + SOON))
    assert await found(database, 1) == (0, 0)
    assert await found(database, 61) == (0, 1)
    await answer(database)
    assert await found(database, 1) == (1, 0), "the next message is a turn of its own"


async def test_of_two_replicas_one_counts(database: Database) -> None:
    seen = await failing(database)
    assert seen is not None
    tried = await asyncio.gather(
        *(database.write("default", lambda unit: failures.count_try(unit, seen, retry_at=now())) for _ in range(5))
    )
    assert [each.attempts for each in tried if each] == [1]
    assert await failing(database, "another") is None


async def dead(database: Database) -> int:
    """The turn on the first message was given up; the id of its row."""

    def give_up(unit: Unit) -> None:
        conversation = repository.find_conversation(unit, "c1")
        message = repository.next_unanswered(unit, conversation)
        assert isinstance(message, EntryRow)
        repository.append_replies(
            unit,
            conversation,
            drafts=[Draft(text="sorry")],
            state=None,
            language="zh",
            answers=message,
            customer=None,
            handoff=HandoffDraft(reason=failures.GIVEN_UP_REASON),
        )
        failures.add_dead_turn(
            unit, "c1", seq=message.seq, answered_seq=0, version=conversation.version + 1, attempts=5, error="x",
            state={"turn": 7},
        )  # fmt: skip

    await database.write("default", give_up)
    async with database.reading("default") as session:
        assert await failures.count_dead_turns(session) == 1
        return (await failures.dead_turns_after(session, 0, 10))[0].id


async def reopen(database: Database, number: int) -> None:
    async with database.reading("default") as session:
        letter = await failures.dead_turn(session, number)

    def both(unit: Unit) -> None:
        failures.settle(unit, number, status="retried", by="op")
        failures.reopen(unit, letter, by="op")

    await database.write("default", both)


async def test_a_turn_that_is_tried_again_finds_what_it_found_before(database: Database) -> None:
    number = await dead(database)
    await reopen(database, number)
    conversation = await database.read("default", lambda unit: repository.find_conversation(unit, "c1"))
    assert (conversation.state, conversation.answered_seq, conversation.status) == ({"turn": 7}, 0, "open")
    message = await database.read("default", lambda unit: repository.next_unanswered(unit, conversation))
    assert message is not None
    assert message.seq == 1
    async with database.reading("default") as session:
        letter = await failures.dead_turn(session, number)
        assert (letter.status, letter.settled_by, letter.state) == ("retried", "op", None)
        assert await failures.count_dead_turns(session) == 0
    with pytest.raises(Conflict):
        await reopen(database, number)


async def test_it_is_not_tried_again_once_the_conversation_has_gone_on(database: Database) -> None:
    number = await dead(database)
    await answer(database, by=QUEUE)
    with pytest.raises(Conflict):
        await reopen(database, number)
    async with database.reading("default") as session:
        assert (await failures.dead_turn(session, number)).status == "waiting", "all of it or nothing"


async def test_of_another_tenant_nothing_is_seen_or_settled(database: Database) -> None:
    number = await dead(database)
    async with database.reading("another") as session:
        assert await failures.dead_turns_after(session, 0, 10) == []
        with pytest.raises(NotFound):
            await failures.dead_turn(session, number)
    with pytest.raises(Conflict):
        await database.write("another", lambda unit: failures.settle(unit, number, status="dismissed", by="eve"))
