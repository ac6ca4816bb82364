"""A migrated SQLite database, and a clock that stands still until it is told."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and nothing in them, to be copied."""
    file = tmp_path_factory.mktemp("login") / "login.sqlite"
    migrate("login", f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture
async def database(migrated: Path, tmp_path: Path) -> AsyncIterator[Database]:
    shutil.copyfile(migrated, tmp_path / "login.sqlite")
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'login.sqlite'}")
    yield database
    await database.close()
