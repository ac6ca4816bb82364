"""A migrated SQLite database, and a clock that stands still until it is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'login.sqlite'}"
    await asyncio.to_thread(migrate, "login", url)
    database = Database(url)
    yield database
    await database.close()
