"""The migrations make exactly the tables that the code expects."""

import asyncio
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from services.login.models import Base
from shared.storage.database import Database
from shared.storage.migrations import migrate


async def test_the_schema_is_what_the_code_says(database: Database) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await asyncio.to_thread(migrate, "login", database.url)
    await database.check()


async def test_many_may_migrate_at_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'together.sqlite'}"
    await asyncio.gather(*(asyncio.to_thread(migrate, "login", url) for _ in range(4)))
    database = Database(url)
    await database.check()
    await database.close()
