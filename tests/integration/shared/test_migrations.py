"""Every service's tables on a real PostgreSQL and on SQLite, also when several replicas start at once."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.database import Database, migrate
from shared.errors import ConfigurationError
from tests.postgres import Postgres

SERVICES = ("business", "dialogue", "login")


@pytest.mark.parametrize("service", SERVICES)
async def test_replicas_that_start_together_migrate_once(service: str, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'service.sqlite'}"
    await asyncio.gather(*(asyncio.to_thread(migrate, service, url) for _ in range(3)))
    await check(url)


@pytest.mark.parametrize("service", SERVICES)
async def test_on_postgresql_too(service: str, postgres: Postgres) -> None:
    url = await postgres.new_database()
    await asyncio.gather(*(asyncio.to_thread(migrate, service, url) for _ in range(3)))
    await check(url)


async def check(url: str) -> None:
    database = Database(url)
    await database.check()
    async with database.engine.connect() as connection:
        versions = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
    assert len(versions) == 1
    await database.close()


def test_a_service_without_tables_says_so() -> None:
    with pytest.raises(ConfigurationError, match="intent"):
        migrate("intent", "sqlite+aiosqlite://")
