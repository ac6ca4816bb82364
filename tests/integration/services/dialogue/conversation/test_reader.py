"""The reader tells what was not heard: each event once, to those who do not know of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.dialogue.conversation import repository
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.reader import Reader
from shared.storage.database import Database
from shared.storage.migrations import migrate
from shared.storage.statements import Unit
from tests.postgres import Postgres
from tests.stack import eventually


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)

    def add(unit: Unit) -> None:
        for each in ("a", "b"):
            repository.add_conversation(unit, each, owner="me", customer=None, assistant="shop", language="zh")

    for tenant in ("default",):
        await database.write(tenant, add)
    yield database
    await database.close()


async def say(database: Database, conversation: str, name: str) -> None:
    def append(unit: Unit) -> None:
        row = repository.find_conversation(unit, conversation)
        repository.append_message(unit, row, message_id=name, text="hello", choice=None, customer=None)

    await database.write("default", append)


async def test_each_event_is_told_once_to_those_who_do_not_know_of_it(database: Database) -> None:
    wakes = Wakes("redis://127.0.0.1:1/0", "zhiyin")
    reader = Reader(database, wakes)
    await say(database, "a", "m1")
    async with wakes.watching("a") as new, wakes.watching("a", noticed=1) as knows, wakes.watching("b") as other:
        await reader.look()
        assert (new.is_set(), knows.is_set(), other.is_set()) == (True, False, False)
        new.clear()
        await reader.look()
        assert not new.is_set()
        await say(database, "a", "m2")
        await reader.look()
        assert (new.is_set(), knows.is_set(), other.is_set()) == (True, True, False)
    assert wakes.watched() == []
    await reader.look()
    await wakes.close()


async def test_without_redis_it_looks_by_itself(database: Database) -> None:
    wakes = Wakes("redis://127.0.0.1:1/0", "zhiyin")
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    async with wakes.watching("a") as watch:
        running = asyncio.create_task(Reader(database, wakes).run(beat))
        await say(database, "a", "m1")

        async def told() -> bool:
            return watch.is_set()

        await eventually(told, what="the wake")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert beats
    await wakes.close()
