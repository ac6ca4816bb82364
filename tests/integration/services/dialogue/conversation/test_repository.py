"""The transcript's promises at the store: gapless, once, and a late writer is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from services.dialogue.conversation import repository
from services.dialogue.conversation.models import Entry, Handoff
from services.dialogue.conversation.repository import (
    Accepted,
    Appended,
    ConversationRow,
    Draft,
    EntryRow,
    HandoffDraft,
    StaleTurn,
)
from shared.contracts.events import Option
from shared.errors import Conflict, NotFound
from shared.storage.database import Database, now
from shared.storage.migrations import migrate
from shared.storage.statements import Unit
from tests.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    yield database
    await database.close()


async def opened(database: Database, tenant: str = "default", name: str = "c1") -> str:
    def add(unit: Unit) -> None:
        repository.add_conversation(unit, name, owner="me", customer="C1001", assistant="shop", language="zh")

    await database.write(tenant, add)
    return name


async def said(database: Database, text: str, message_id: str, *, name: str = "c1") -> Accepted:
    def append(unit: Unit) -> Accepted:
        conversation = repository.find_conversation(unit, name)
        return repository.append_message(
            unit, conversation, message_id=message_id, text=text, choice=None, customer="C1001"
        )

    return await database.write("default", append)


async def answered(database: Database, conversation: ConversationRow, message: EntryRow, *texts: str) -> Appended:
    def append(unit: Unit) -> Appended:
        return repository.append_replies(
            unit,
            conversation,
            drafts=[Draft(text=text, options=(Option(id="yes", title="Yes"),)) for text in texts],
            state={"turn": 1},
            language="en",
            answers=message,
            customer="C1001",
        )

    return await database.write("default", append)


async def read(database: Database, name: str = "c1") -> ConversationRow:
    return await database.read("default", lambda unit: repository.find_conversation(unit, name))


async def test_every_event_has_the_next_number(database: Database) -> None:
    await opened(database)
    first = (await said(database, "one", "m1")).entry
    await said(database, "two", "m2")
    replies = await answered(database, await read(database), first, "a", "b")
    await said(database, "three", "m3")
    assert [reply.seq for reply in replies.entries] == [3, 4]
    events = await database.read("default", lambda unit: repository.events_after(unit, "c1", 0, 100))
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    part = await database.read("default", lambda unit: repository.events_after(unit, "c1", 2, 2))
    assert [event.seq for event in part] == [3, 4]
    answers = await database.read("default", lambda unit: repository.replies_to(unit, "c1", 1))
    assert [event.text for event in answers] == ["a", "b"]
    assert events[2].options[0].title == "Yes"


async def test_the_same_id_again_changes_nothing(database: Database) -> None:
    await opened(database)
    first = await said(database, "one", "m1")
    with pytest.raises(IntegrityError):
        await said(database, "one", "m1")

    async def again(text: str) -> Accepted | None:
        def find(unit: Unit) -> Accepted | None:
            conversation = repository.find_conversation(unit, "c1")
            return repository.find_message(unit, conversation, message_id="m1", text=text, choice=None)

        return await database.read("default", find)

    assert await again("one") == Accepted(first.entry, new=False, next=False, floor=None)
    with pytest.raises(Conflict):
        await again("another text")
    assert (await read(database)).last_seq == 1


async def test_many_at_once_leave_no_gap(database: Database) -> None:
    await opened(database)
    accepted = await asyncio.gather(*(said(database, f"text {number}", f"m{number}") for number in range(30)))
    assert sorted(each.entry.seq for each in accepted) == list(range(1, 31))


async def test_a_message_is_next_when_nothing_waits_before_it(database: Database) -> None:
    await opened(database)
    first = await said(database, "one", "m1")
    second = await said(database, "two", "m2")
    assert (first.next, second.next) == (True, False)
    await answered(database, await read(database), first.entry, "a")
    third = await said(database, "three", "m3")
    assert not third.next, "two still waits"
    await answered(database, await read(database), second.entry, "b")
    await answered(database, await read(database), third.entry, "c")
    assert (await said(database, "four", "m4")).next


async def test_of_many_at_once_one_is_next(database: Database) -> None:
    """Each read the conversation while nothing waited; a turn that began with any other would pass over the first."""
    await opened(database)
    accepted = await asyncio.gather(*(said(database, f"text {number}", f"m{number}") for number in range(10)))
    assert [each.entry.seq for each in accepted if each.next] == [1]


async def test_a_late_writer_is_refused_and_leaves_nothing(database: Database) -> None:
    await opened(database)
    message = (await said(database, "one", "m1")).entry
    seen = await read(database)
    await answered(database, seen, message, "first")
    with pytest.raises(StaleTurn):
        await answered(database, seen, message, "second")
    answers = await database.read("default", lambda unit: repository.replies_to(unit, "c1", 1))
    assert [event.text for event in answers] == ["first"]


async def handed_over(database: Database, message: EntryRow) -> Appended:
    conversation = await read(database)
    return await database.write(
        "default",
        lambda unit: repository.append_replies(
            unit, conversation, drafts=[Draft(text="a person comes")], state={"turn": 1}, language="en",
            answers=message, customer="C1001", handoff=HandoffDraft(reason="asked"),
        ),
    )  # fmt: skip


async def test_of_two_hand_offs_of_one_person_at_once_one_is_refused(database: Database) -> None:
    async def ask(name: str, tenant: str = "default", owner: str | None = "me") -> bool:
        await opened(database, tenant, name)

        def hand_over(unit: Unit) -> bool:
            conversation = repository.find_conversation(unit, name)
            waits = repository.waits_elsewhere(unit, conversation)
            repository.append_replies(
                unit, conversation, drafts=[], state=None, language="en", answers=None, customer=None,
                handoff=HandoffDraft(reason="asked", owner=owner),
            )  # fmt: skip
            return waits

        return await database.write(tenant, hand_over)

    assert not await ask("c1")
    with pytest.raises(IntegrityError):
        await ask("c2")
    assert (await read(database, "c2")).floor == "assistant", "nothing of the turn is written"
    assert not await ask("c3", tenant="other"), "another company's customer"
    assert await ask("c4", owner=None), "a turn that was given up always gets a person"
    async with database.transaction("default") as session:
        await session.execute(update(Handoff).values(status="closed"))
    assert not await ask("c5")


async def test_what_waits_at_a_hand_off_and_comes_after_it_is_a_persons(database: Database) -> None:
    await opened(database)
    first = (await said(database, "a person", "m1")).entry
    second = (await said(database, "are you there", "m2")).entry
    late = await read(database)
    assert not (await handed_over(database, first)).more
    conversation = await read(database)
    assert (conversation.floor, conversation.status) == ("queue", "waiting_for_agent")
    third = await said(database, "hello?", "m3")
    assert (third.floor, third.next) == ("queue", False)
    with pytest.raises(StaleTurn):
        await answered(database, late, second, "too late")
    conversation = await read(database)
    assert conversation.pending_since is None
    with pytest.raises(StaleTurn):
        await answered(database, conversation, third.entry, "the assistant, who read who has the floor")
    assert await database.read("default", lambda unit: repository.next_unanswered(unit, conversation)) is None


async def test_who_waits_is_told_once(database: Database) -> None:
    await opened(database)
    await handed_over(database, (await said(database, "a person", "m1")).entry)

    async def told(message: EntryRow) -> list[str]:
        held = await database.write(
            "default", lambda unit: repository.append_holding_reply(unit, message, Draft(text="please wait"))
        )
        return [entry.text for entry in held]

    message = (await said(database, "hello?", "m2")).entry
    assert await told(message) == ["please wait"]
    assert await told((await said(database, "hello?", "m3")).entry) == []
    replies = await database.read("default", lambda unit: repository.replies_to(unit, "c1", message.seq))
    assert [event.text for event in replies] == ["please wait"]
    assert (await read(database)).last_seq == 5


async def test_a_conversation_that_waited_before_there_was_a_floor_goes_on_waiting(
    tmp_path: Path, postgres: Postgres
) -> None:
    """The revision that adds the floor finds hand-offs that wait, are in work and are closed."""
    for url in (f"sqlite+aiosqlite:///{tmp_path / 'old.sqlite'}", await postgres.new_database()):
        await asyncio.to_thread(migrate, "dialogue", url, "0001")
        database = Database(url)
        moment = {"moment": now()}
        async with database.engine.begin() as connection:
            for name, status in (("w", "waiting_for_agent"), ("c", "with_agent"), ("d", "open"), ("n", "open")):
                await connection.execute(
                    text(
                        "INSERT INTO conversations (id, owner, assistant, language, status, version, last_seq,"
                        " answered_seq, created_at, updated_at, pending_since, tenant) VALUES"
                        f" ('{name}', 'me', 'shop', 'zh', '{status}', 1, 4, 2, :moment, :moment, :moment, 'default')"
                    ),
                    moment,
                )
            for name, status, agent in (("w", "waiting", None), ("c", "claimed", "anna"), ("d", "closed", "anna")):
                await connection.execute(
                    text(
                        "INSERT INTO handoffs (conversation_id, reason, status, agent, created_at, tenant)"
                        f" VALUES ('{name}', 'asked', '{status}', :agent, :moment, 'default')"
                    ),
                    moment | {"agent": agent},
                )
        await asyncio.to_thread(migrate, "dialogue", url)
        found = {name: await read(database, name) for name in "wcdn"}
        assert {name: each.floor for name, each in found.items()} == {
            "w": "queue", "c": "anna", "d": "assistant", "n": "assistant",
        }  # fmt: skip
        assert {name: each.pending_since is None for name, each in found.items()} == {
            "w": True, "c": True, "d": False, "n": False,
        }  # fmt: skip
        assert [found[name].answered_seq for name in "wcdn"] == [4, 4, 2, 2]
        await database.close()


async def test_a_conversation_is_its_owners_and_its_tenants(database: Database) -> None:
    await opened(database)

    def find(tenant: str, owner: str | None) -> Awaitable[ConversationRow]:
        return database.read(tenant, lambda unit: repository.find_conversation(unit, "c1", owner=owner))

    assert (await find("default", "me")).id == "c1"
    for tenant, owner in (("default", "you"), ("another", None), ("another", "me")):
        with pytest.raises(NotFound):
            await find(tenant, owner)
    async with database.reading("another") as session:
        assert (await session.scalars(select(Entry))).all() == []
