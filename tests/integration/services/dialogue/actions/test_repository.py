"""The outbox's statements on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.dialogue.actions import repository
from services.dialogue.conversation.models import Conversation, DeadLetter, OutboxRow
from shared.contracts.actions import ActionReference
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate
from tests.postgres import Postgres

LATER = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    async with database.transaction("default") as session:
        session.add(Conversation(id="a", owner="me", assistant="shop", language="zh"))
        await session.flush()
        for action in ("a.0", "a.1"):
            session.add(OutboxRow(action_id=action, conversation_id="a", request={"id": action}))
    yield database
    await database.close()


async def due(database: Database) -> list[tuple[str, int]]:
    async with database.transaction(ALL_TENANTS) as session:
        return sorted((row.action_id, row.attempts) for row in await repository.due_rows(session, now(), 10))


async def test_what_is_postponed_is_not_due_and_counted(database: Database) -> None:
    async with database.transaction(ALL_TENANTS) as session:
        await repository.postpone(session, ["a.0"], now() + LATER, attempts=1)
    assert await due(database) == [("a.1", 0)]
    async with database.transaction(ALL_TENANTS) as session:
        await repository.postpone(session, ["a.0", "a.1"], now(), attempts=-1)
    assert await due(database) == [("a.0", 0), ("a.1", -1)]


async def test_news_is_for_an_action_of_its_tenant_that_has_not_failed(database: Database) -> None:
    async with database.transaction("default") as session:
        await repository.finish(session, "a.0", done=True)
        await repository.count_failure(session, "a.1", "Conflict", now() + LATER)
    for action, tenant, known in (("a.0", "default", True), ("a.1", "default", False), ("a.0", "other", False)):
        async with database.transaction(tenant) as session:
            found = await repository.bring_forward(session, ActionReference(id=action, tenant=tenant), now())
        assert found is known, (action, tenant)
    assert await due(database) == [("a.0", 0)]


async def test_failures_are_counted_until_they_are_over(database: Database) -> None:
    async with database.transaction("default") as session:
        assert [await repository.count_failure(session, "a.0", "x", now()) for _ in range(3)] == [1, 2, 3]
        await repository.finish(session, "a.0", done=False)
        assert await repository.count_failure(session, "a.0", "x", now()) == 1


async def test_what_is_given_up_is_not_due_until_it_is_opened_again(database: Database) -> None:
    async with database.transaction("default") as session:
        letter = DeadLetter(action_id="a.0", conversation_id="a", error="Conflict", attempts=8)
        await repository.give_up(session, letter)
    assert await due(database) == [("a.1", 0)]
    async with database.reading("other") as session:
        assert await repository.letters_after(session, 0, 10, waiting=False) == []
        assert await repository.count_letters(session) == 0
    async with database.transaction("default") as session:
        (found,) = await repository.letters_after(session, 0, 10, waiting=True)
        assert await repository.open_again(session, found.action_id)
        assert not await repository.open_again(session, "gone.0")
        waiting, oldest = await repository.backlog(session)
    assert (waiting, oldest is not None) == (2, True)
    assert await due(database) == [("a.0", 0), ("a.1", 0)]


async def test_an_approval_that_is_waited_for_is_no_backlog(database: Database) -> None:
    async with database.transaction("default") as session:
        before, _ = await repository.backlog(session)
        row = await session.get(OutboxRow, "a.0")
        assert row is not None
        row.status = "awaiting_approval"
        await session.flush()
        assert (await repository.backlog(session))[0] == before - 1
