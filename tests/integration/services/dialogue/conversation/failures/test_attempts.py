"""A turn that always fails ends in an apology and a person, and keeps nobody else waiting."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.dialogue.conversation import repository
from services.dialogue.conversation.failures.attempts import APOLOGIES, Attempts, described
from services.dialogue.conversation.failures.repository import GIVEN_UP_REASON
from services.dialogue.conversation.models import QUEUE, Conversation, DeadTurn, Handoff, OutboxRow
from services.dialogue.conversation.repository import Accepted, ConversationRow
from services.dialogue.settings import Settings
from shared.storage.database import Database
from shared.storage.migrations import migrate
from shared.storage.statements import Unit
from tests.calls import calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT, logged_in, neighbourhood, new_guest
from tests.integration.services.dialogue.poison import KINDS, poison
from tests.postgres import Postgres
from tests.stack import eventually

MANY = 50


async def another(guest: Customer, language: str = "en") -> Customer:
    opened = await guest.calls.post("/v1/conversations", json={"language": language}, token=guest.token)
    assert opened.status == 201
    return Customer(guest.calls, guest.token, opened.body["id"])


async def some_of(guest: Customer, count: int) -> list[Customer]:
    return list(await asyncio.gather(*(another(guest) for _ in range(count))))


async def rows(database: Database, model: Any) -> list[Any]:
    async with database.reading("default") as session:
        return list((await session.scalars(select(model))).all())


async def forget(database: Database, customer: Customer) -> None:
    """A message that was stored by a process that died before it could answer."""

    def append(unit: Unit) -> Accepted:
        conversation = repository.find_conversation(unit, customer.conversation)
        return repository.append_message(
            unit,
            conversation,
            message_id=uuid.uuid4().hex,
            text="hello",
            choice=None,
            customer=conversation.customer,
        )

    await database.write("default", append)


async def test_fifty_that_always_fail_keep_no_other_waiting(tmp_path: Path) -> None:
    """They are due all the time here, and the oldest: healthy and forgotten messages are answered all the same."""
    always = {"turn_attempts": 20, "retry_first_seconds": 0.01, "retry_most_seconds": 0.02}
    async with (
        neighbourhood(tmp_path, answer_seconds=8, recover_after_seconds=0.1, **always) as around,
        calling(around.dialogue.base_url) as calls,
    ):
        database: Database = around.dialogue.app.state.database
        guest = await new_guest(calls)
        poisoned, healthy, forgotten = await some_of(guest, MANY), await some_of(guest, MANY), await some_of(guest, 3)
        for number, each in enumerate(poisoned):
            await poison(database, each.conversation, KINDS[number % len(KINDS)])
            await forget(database, each)
        failing = {each.conversation for each in poisoned}

        async def all_fail() -> bool:
            tried = {each.id for each in await rows(database, Conversation) if each.attempts}
            return tried == failing

        await eventually(all_fail, what="every poisoned one tried")
        for each in forgotten:
            await forget(database, each)
        answers = await asyncio.gather(*(each.post("hello") for each in healthy))
        assert {answer.status for answer in answers} == {200}
        for each in forgotten:
            await each.until(lambda seen: seen[-1]["sender"] == "assistant" and seen[-2]["kind"] == "message")
        still = [each for each in await rows(database, Conversation) if each.id in failing]
        assert all(each.pending_since is not None and each.attempts < 20 for each in still), "and they still fail"
        assert await rows(database, DeadTurn) == []


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_each_ends_in_an_apology_and_a_person(tmp_path: Path, language: str) -> None:
    soon = {"turn_attempts": 3, "retry_first_seconds": 0.05, "retry_most_seconds": 0.1}
    async with neighbourhood(tmp_path, **soon) as around, calling(around.dialogue.base_url) as calls:
        database: Database = around.dialogue.app.state.database
        guest = await new_guest(calls)
        customers = {kind: await another(guest, language) for kind in KINDS}
        for kind, each in customers.items():
            await poison(database, each.conversation, kind)
        words = {"zh": "你好，在吗", "en": "hello to you"}[language]
        names = {kind: uuid.uuid4().hex for kind in KINDS}
        await asyncio.gather(*(each.post(words, message_id=names[kind]) for kind, each in customers.items()))
        for each in customers.values():
            events = await each.until(lambda seen: seen[-1]["text"] == APOLOGIES[language])
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        dead = {each.conversation_id: each for each in await rows(database, DeadTurn)}
        assert set(dead) == {each.conversation for each in customers.values()}
        assert {each.attempts for each in dead.values()} == {3}
        handoffs = {each.conversation_id: each for each in await rows(database, Handoff)}
        asked = [(name, each.reason, each.status) for name, each in handoffs.items()]
        assert sorted(asked) == sorted((each, GIVEN_UP_REASON, "waiting") for each in dead)
        for kind, each in customers.items():
            again = await each.post(words, message_id=names[kind])
            assert (again.status, again.body["replies"][0]["text"]) == (200, APOLOGIES[language]), "it was answered"
        agent = await logged_in(calls, AGENT)
        for each in customers.values():
            number = handoffs[each.conversation].id
            assert (await calls.post(f"/v1/handoffs/{number}/claim", token=agent)).status == 200
            closed = await calls.post(f"{each.path}/replies", json={"text": "done", "close": True}, token=agent)
            assert closed.status == 201
            assert await each.say("hello"), "what was unreadable is gone, so the conversation goes on"


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)

    def begin(unit: Unit) -> None:
        row = repository.add_conversation(unit, "c1", owner="me", customer=None, assistant="shop", language="zh")
        repository.append_message(unit, row, message_id="m1", text="1", choice=None, customer=None)

    await database.write("default", begin)
    yield database
    await database.close()


def attempts(database: Database, most: int = 3) -> Attempts:
    """As a process makes them that has just started."""
    return Attempts(Settings(turn_attempts=most, retry_first_seconds=1e-6, retry_most_seconds=1e-6), database)


async def read(database: Database) -> ConversationRow:
    return await database.read("default", lambda unit: repository.find_conversation(unit, "c1"))


async def test_a_process_that_dies_of_its_attempts_takes_them_with_it(database: Database) -> None:
    for number in range(3):
        assert await attempts(database).begin("default", "c1")
        assert (await read(database)).attempts == number + 1
    assert await attempts(database).begin("default", "c1") is None
    row = await read(database)
    assert (row.answered_seq, row.last_seq, row.floor) == (2, 2, QUEUE), "a person's, with whatever waits"
    (dead,) = await rows(database, DeadTurn)
    assert (dead.seq, dead.attempts, dead.status) == (1, 3, "waiting")
    events = await database.read("default", lambda unit: repository.events_after(unit, "c1", 0, 10))
    assert [event.text for event in events] == ["1", APOLOGIES["zh"]], "a number has no language of its own"
    assert await attempts(database).begin("default", "c1") is None, "nothing waits"


async def test_failures_are_counted_once_whether_begun_or_not(database: Database) -> None:
    assert not await attempts(database).failed("default", "c1", ValueError("x"), None)
    begun = await attempts(database).begin("default", "c1")
    assert begun is not None
    assert not await attempts(database).failed("default", "c1", ValueError("x"), begun)
    assert (await read(database)).attempts == 2
    assert await attempts(database).failed("default", "c1", ValueError("x"), None)
    (dead,) = await rows(database, DeadTurn)
    assert dead.error == "ValueError"


async def test_an_outage_of_the_database_is_not_the_turns_fault(database: Database) -> None:
    for _ in range(10):
        begun = await attempts(database).begin("default", "c1")
        assert begun is not None
        await attempts(database).put_back("default", begun)
    assert (await read(database)).attempts == 0


async def test_an_attempt_that_is_not_due_is_not_made(database: Database) -> None:
    patient = Attempts(Settings(turn_attempts=3, retry_first_seconds=1000, retry_most_seconds=1000), database)
    assert await patient.begin("default", "c1")
    assert await attempts(database).begin("default", "c1") is None
    assert (await read(database)).attempts == 1


async def test_actions_that_were_decided_keep_their_numbers(database: Database) -> None:
    """The next action of the conversation must not be taken for one that was sent before."""
    async with database.transaction("default") as session:
        for number in (0, 1, 10):
            session.add(OutboxRow(action_id=f"c1.{number}", conversation_id="c1", request={}))
            await session.flush()
    await poison(database, "c1", "of_another_release")
    assert await attempts(database, most=1).failed("default", "c1", ValueError("x"), None)
    state = (await read(database)).state
    assert state is not None
    assert state["actions"] == 11


def test_what_is_kept_of_an_error_is_not_what_it_says() -> None:
    def fails() -> None:
        raise ValueError("a customer's words")

    with pytest.raises(ValueError, match="words") as caught:
        fails()
    assert described(caught.value) == "ValueError in fails"


async def test_a_result_that_comes_meanwhile_takes_no_attempt_back(database: Database) -> None:
    assert await attempts(database).begin("default", "c1")

    def result(unit: Unit) -> None:
        conversation = repository.find_conversation(unit, "c1")
        drafts = [repository.Draft(text="done")]
        repository.append_replies(
            unit, conversation, drafts=drafts, state=None, language="zh", answers=None, customer=None
        )

    await database.write("default", result)
    assert (await read(database)).attempts == 1
