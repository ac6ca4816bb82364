"""The desk's queries on both databases, and that a tenant's desk sees its own conversations only."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.dialogue.conversation.models import Conversation, Handoff, Trace
from services.dialogue.conversation.repository import was_handed_over
from services.dialogue.desk.repository import open_handoffs, traces_of, work_on_handoffs
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
        session.add_all(Conversation(id=each, owner="me", assistant="shop", language="zh") for each in "abc")
        await session.flush()
        for conversation in "ab":
            session.add(Handoff(conversation_id=conversation, reason="asked"))
            await session.flush()
        for trigger in ("message:1", "message:3"):
            session.add(Trace(conversation_id="a", trigger=trigger, steps=[], seconds={}))
            await session.flush()
    yield database
    await database.close()


async def waiting(database: Database, tenant: str = "default", limit: int = LIMIT) -> list[tuple[str, str, str | None]]:
    async with database.reading(tenant) as session:
        return [(each.conversation_id, each.status, each.agent) for each in await open_handoffs(session, limit)]


async def work(database: Database, agent: str, status: str, tenant: str = "default") -> None:
    await database.write(tenant, lambda unit: work_on_handoffs(unit, "a", status=status, agent=agent))


async def test_what_waits_is_listed_the_oldest_first(database: Database) -> None:
    assert await waiting(database) == [("a", "waiting", None), ("b", "waiting", None)]
    assert await waiting(database, limit=1) == [("a", "waiting", None)]
    assert await waiting(database, tenant="another") == []


async def test_an_agent_takes_a_conversation_and_closes_it(database: Database) -> None:
    await work(database, "anna", "claimed")
    assert await waiting(database) == [("a", "claimed", "anna"), ("b", "waiting", None)]

    await work(database, "anna", "closed")
    assert await waiting(database) == [("b", "waiting", None)]

    await work(database, "ben", "claimed")
    assert await waiting(database) == [("b", "waiting", None)]


async def test_another_tenant_assigns_nothing(database: Database) -> None:
    await work(database, "eve", "closed", tenant="another")

    assert await waiting(database) == [("a", "waiting", None), ("b", "waiting", None)]


async def test_a_conversation_that_was_handed_off_stays_so(database: Database) -> None:
    await work(database, "anna", "closed")
    assert await database.read("default", lambda unit: was_handed_over(unit, "a"))
    assert not await database.read("default", lambda unit: was_handed_over(unit, "c"))


async def test_traces_come_in_order(database: Database) -> None:
    async with database.reading("default") as session:
        assert [each.trigger for each in await traces_of(session, "a", LIMIT)] == ["message:1", "message:3"]
        assert [each.trigger for each in await traces_of(session, "a", 1)] == ["message:1"]
        assert not await traces_of(session, "b", LIMIT)
