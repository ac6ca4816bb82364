"""What is picked up: never more than there is room for, in the order in which it is due, and nothing hides another."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from services.dialogue.conversation.models import Conversation
from services.dialogue.conversation.recovery import QUEUED, Recovery
from services.dialogue.settings import Settings
from shared.storage.database import Database, now
from shared.storage.migrations import migrate


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    yield database
    await database.close()


async def waiting(database: Database, prefix: str, count: int, *, failed: bool = False, minutes: float = 1) -> None:
    """Conversations with a message that waits, the oldest first; of failed ones the next attempt is due."""
    since = now() - timedelta(minutes=minutes)
    async with database.transaction("default") as session:
        for number in range(count):
            at = since + timedelta(milliseconds=number)
            row = Conversation(id=f"{prefix}{number:03}", owner="me", assistant="shop", language="zh", pending_since=at)
            row.attempts, row.retry_at = (1, at) if failed else (0, None)
            session.add(row)


class Picker:
    """Remembers what is picked up, and has it done when the test says so."""

    def __init__(self, database: Database) -> None:
        self.busy: set[str] = set()
        self.picked: list[str] = []
        self.done: dict[str, asyncio.Event] = {}
        self.recovery = Recovery(Settings(), database, busy=lambda: set(self.busy), pick_up=self.pick_up)

    def pick_up(self, tenant: str, conversation: str, places: asyncio.Semaphore) -> "asyncio.Task[object]":
        assert tenant == "default"
        self.picked.append(conversation)
        self.busy.add(conversation)
        done = self.done[conversation] = asyncio.Event()
        return asyncio.create_task(done.wait())

    async def finish(self, database: Database, *conversations: str) -> None:
        async with database.transaction("default") as session:
            await session.execute(
                update(Conversation)
                .where(Conversation.id.in_(conversations))
                .values(pending_since=None, attempts=0, retry_at=None)
            )
        for each in conversations:
            self.done[each].set()
            self.busy.discard(each)
        await asyncio.sleep(0)


async def test_there_is_an_end_to_what_is_queued_at_once(database: Database) -> None:
    await waiting(database, "f", QUEUED + 10)
    picker = Picker(database)
    await picker.recovery.look()
    await picker.recovery.look()
    assert picker.picked == [f"f{number:03}" for number in range(QUEUED)]
    await picker.finish(database, "f000", "f001")
    await picker.recovery.look()
    assert picker.picked[QUEUED:] == [f"f{QUEUED:03}", f"f{QUEUED + 1:03}"]


async def test_what_is_in_line_here_hides_nothing(database: Database) -> None:
    await waiting(database, "a", QUEUED * 2, minutes=10)
    await waiting(database, "b", 2)
    picker = Picker(database)
    picker.busy = {f"a{number:03}" for number in range(QUEUED * 2)}
    await picker.recovery.look()
    assert picker.picked == ["b000", "b001"]


async def test_what_fails_does_not_take_the_places_of_others(database: Database) -> None:
    await waiting(database, "x", QUEUED * 2, failed=True, minutes=10)
    await waiting(database, "f", 3)
    picker = Picker(database)
    await picker.recovery.look()
    assert picker.picked[:3] == ["f000", "f001", "f002"]
    assert picker.picked[3:] == [f"x{number:03}" for number in range(QUEUED)]
    await waiting(database, "g", 1)
    await picker.recovery.look()
    assert picker.picked[-1] == "g000"


async def test_what_is_not_due_is_left(database: Database) -> None:
    await waiting(database, "new", 1, minutes=0)
    await waiting(database, "x", 1, failed=True, minutes=-5)
    picker = Picker(database)
    await picker.recovery.look()
    assert picker.picked == []
