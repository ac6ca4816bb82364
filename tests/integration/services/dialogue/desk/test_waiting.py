"""How many wait for a person, and for how long, is measured."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.dialogue.conversation.models import Conversation, Handoff
from services.dialogue.desk.waiting import measure_waiting
from shared.storage.database import Database, now
from shared.storage.migrations import migrate
from tests.postgres import Postgres
from tests.stack import eventually


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    yield database
    await database.close()


async def add(database: Database, tenant: str, name: str, status: str, minutes: int) -> None:
    async with database.transaction(tenant) as session:
        session.add(Conversation(id=name, owner="me", assistant="shop", language="zh", floor="queue"))
        await session.flush()
        since = now() - timedelta(minutes=minutes)
        session.add(Handoff(conversation_id=name, reason="asked", status=status, created_at=since))


async def is_measured(waiting: int, minutes: int) -> bool:
    oldest = REGISTRY.get_sample_value("zhiyin_handoffs_oldest_seconds")
    return (REGISTRY.get_sample_value("zhiyin_handoffs_waiting"), round((oldest or 0) / 60)) == (waiting, minutes)


async def test_those_of_all_companies_who_wait_are_measured_and_no_others(database: Database) -> None:
    beats: list[None] = []
    measuring = asyncio.create_task(measure_waiting(database, lambda: beats.append(None), seconds=0.01))
    try:
        await eventually(partial(is_measured, 0, 0))
        await add(database, "default", "a", "waiting", 10)
        await add(database, "another", "b", "waiting", 30)
        await add(database, "default", "c", "claimed", 90)
        await add(database, "default", "d", "closed", 99)
        await eventually(partial(is_measured, 2, 30))
        assert len(beats) > 1
    finally:
        measuring.cancel()
