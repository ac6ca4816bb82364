"""The desk's queries on both databases, and that a tenant's desk sees its own conversations only."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.dialogue.conversation.models import Conversation, Handoff, Trace
from services.dialogue.conversation.repository import find_conversation
from services.dialogue.desk import repository
from services.dialogue.desk.repository import HandoffRow
from shared.errors import NotFound
from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.postgres import Postgres

LIMIT = 10


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    async with database.transaction("default") as session:
        session.add_all(
            Conversation(id=each, owner="me", assistant="shop", language="zh", floor="queue") for each in "abc"
        )
        await session.flush()
        for conversation in "ab":
            session.add(Handoff(conversation_id=conversation, reason="asked", slots={"order": "1"}))
            await session.flush()
        for trigger, intent in (("message:1", "refund"), ("message:3", "ask_human"), ("result:a:1", None)):
            understanding = None if intent is None else {"intent": {"name": intent}}
            session.add(Trace(conversation_id="a", trigger=trigger, understanding=understanding, steps=[], seconds={}))
            await session.flush()
    yield database
    await database.close()


async def listed(database: Database, tenant: str = "default", **wanted: Any) -> list[tuple[str, str, str | None]]:
    async with database.reading(tenant) as session:
        rows = await repository.open_handoffs(session, **{"after": 0, "limit": LIMIT} | wanted)
        return [
            (handoff.conversation_id, handoff.status, handoff.agent)
            for handoff, *about in rows
            if about == ["zh", "shop"]
        ]


async def of(database: Database, conversation: str) -> HandoffRow:
    found = await database.read("default", lambda unit: repository.open_handoff(unit, conversation))
    assert found is not None
    return found


async def passed(database: Database, seen: str, to: str, tenant: str = "default") -> bool:
    return await database.write(tenant, lambda unit: repository.pass_floor(unit, "a", seen=seen, to=to))


async def test_what_waits_is_listed_the_oldest_first_page_by_page(database: Database) -> None:
    assert await listed(database) == [("a", "waiting", None), ("b", "waiting", None)]
    assert await listed(database, limit=1) == [("a", "waiting", None)]
    first = await of(database, "a")
    assert await listed(database, after=first.id) == [("b", "waiting", None)]
    assert await listed(database, tenant="another") == []


async def test_what_is_in_work_is_listed_with_its_agent_and_counted(database: Database) -> None:
    first = await of(database, "a")
    claimed = await database.write("default", lambda unit: repository.set_handoff(unit, first.id, agent="anna"))
    assert claimed is not None
    assert (claimed.status, claimed.agent, claimed.slots) == ("claimed", "anna", {"order": "1"})
    assert claimed.claimed_at is not None
    assert await listed(database) == [("a", "claimed", "anna"), ("b", "waiting", None)]
    assert await listed(database, status="waiting") == [("b", "waiting", None)]
    assert await listed(database, agent="anna") == [("a", "claimed", "anna")]
    async with database.reading("default") as session:
        assert await repository.count_open(session) == {"claimed": 1, "waiting": 1}
    released = await database.write("default", lambda unit: repository.set_handoff(unit, first.id, agent=None))
    assert released is not None
    assert (released.status, released.agent, released.claimed_at) == ("waiting", None, None)


async def test_what_is_closed_stays_so(database: Database) -> None:
    first = await of(database, "a")
    closed = await database.write("default", lambda unit: repository.close_handoff(unit, first.id, note="agreed"))
    assert closed is not None
    assert (closed.status, closed.note) == ("closed", "agreed")
    assert await listed(database) == [("b", "waiting", None)]
    for again in (
        lambda unit: repository.close_handoff(unit, first.id, note=None),
        lambda unit: repository.set_handoff(unit, first.id, agent="ben"),
        lambda unit: repository.open_handoff(unit, "a"),
    ):
        assert await database.write("default", again) is None
    assert await database.read("default", lambda unit: repository.find_handoff(unit, first.id)) == closed
    assert await database.read("default", lambda unit: repository.handed_over(unit, "a"))
    assert not await database.read("default", lambda unit: repository.handed_over(unit, "c"))


async def test_the_floor_is_taken_by_one_of_many(database: Database) -> None:
    taken = await asyncio.gather(*(passed(database, "queue", f"agent-{number}") for number in range(12)))
    assert taken.count(True) == 1
    conversation = await database.read("default", lambda unit: find_conversation(unit, "a"))
    assert (conversation.floor, conversation.status) == (f"agent-{taken.index(True)}", "with_agent")
    assert conversation.version == 1, "a turn that began before is late"
    assert await passed(database, conversation.floor, "queue")
    conversation = await database.read("default", lambda unit: find_conversation(unit, "a"))
    assert (conversation.floor, conversation.status) == ("queue", "waiting_for_agent")


async def test_another_tenant_sees_and_changes_nothing(database: Database) -> None:
    first = await of(database, "a")
    assert not await passed(database, "queue", "eve", tenant="another")
    assert await database.write("another", lambda unit: repository.set_handoff(unit, first.id, agent="eve")) is None
    assert await database.write("another", lambda unit: repository.close_handoff(unit, first.id, note=None)) is None
    with pytest.raises(NotFound):
        await database.read("another", lambda unit: repository.find_handoff(unit, first.id))
    assert await listed(database) == [("a", "waiting", None), ("b", "waiting", None)]


async def test_the_audit_log_keeps_everything_in_order(database: Database) -> None:
    first, second = await of(database, "a"), await of(database, "b")
    for event, handoff in (("claimed", first), ("claimed", second), ("closed", first)):
        note = partial(repository.add_event, event=event, actor="anna", handoff=handoff, details={"seq": 1})
        await database.write("default", note)

    def noted(event: str, actor: str, handoff: HandoffRow) -> Any:
        return database.read("default", lambda unit: repository.was_noted(unit, event, actor=actor, handoff=handoff))

    assert await noted("closed", "anna", first)
    assert not await noted("closed", "anna", second)
    assert not await noted("closed", "ben", first)
    async with database.reading("default") as session:
        events = await repository.events_after(session, 0, LIMIT)
        assert [(each.event, each.conversation_id) for each in events] == [
            ("claimed", "a"), ("claimed", "b"), ("closed", "a"),
        ]  # fmt: skip
        assert [each.id for each in await repository.events_after(session, events[1].id, LIMIT)] == [events[2].id]
    async with database.reading("another") as session:
        assert await repository.events_after(session, 0, LIMIT) == []


async def test_traces_come_in_order_and_what_was_understood_last_is_found(database: Database) -> None:
    async with database.reading("default") as session:
        triggers = [each.trigger for each in await repository.traces_of(session, "a", LIMIT)]
        assert triggers == ["message:1", "message:3", "result:a:1"]
        assert len(await repository.traces_of(session, "a", 1)) == 1
        assert not await repository.traces_of(session, "b", LIMIT)
        assert await repository.last_understanding(session, "a") == {"intent": {"name": "ask_human"}}
        assert await repository.last_understanding(session, "b") is None
        assert await repository.actions_of(session, "a") == []
