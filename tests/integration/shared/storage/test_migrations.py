"""Every service's tables on a real PostgreSQL and on SQLite: who migrates, who waits, and what a rollback leaves."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.errors import ConfigurationError, Unavailable
from shared.settings import ServiceSettings
from shared.storage.database import Database
from shared.storage.migrations import bring_up, migrate, services_with_tables
from tests.postgres import Postgres
from tests.postgres import postgres as run_postgres
from tests.stack import eventually

SERVICES = ("business", "dialogue", "learning", "login")
PROJECT = Path(__file__).resolve().parents[4]


def settings(url: str, **extra: object) -> ServiceSettings:
    return ServiceSettings.model_validate({"database_url": url, "database_wait_seconds": 60, **extra})


async def revisions(url: str) -> list[str]:
    database = Database(url)
    async with database.engine.connect() as connection:
        found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
    await database.close()
    return list(found)


async def set_revision(url: str, revision: str) -> None:
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    await database.close()


async def until_said(said: list[str]) -> None:
    async def look() -> bool:
        return bool(said)

    await eventually(look, what="a word about what is waited for")


@pytest.fixture
async def new_url(postgres: Postgres) -> str:
    """A database that is not there yet."""
    return postgres.url(f"test_{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
async def own_server() -> AsyncIterator[Postgres]:
    """A server that these tests may stop; each leaves it running."""
    async with run_postgres() as running:
        yield running


def test_the_services_with_tables_are_known() -> None:
    assert tuple(services_with_tables()) == SERVICES


@pytest.mark.parametrize("service", SERVICES)
async def test_replicas_that_start_together_migrate_once(service: str, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'service.sqlite'}"
    await asyncio.gather(*(asyncio.to_thread(migrate, service, url) for _ in range(3)))
    assert len(await revisions(url)) == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_on_postgresql_too_where_they_make_the_database_first(service: str, new_url: str) -> None:
    await asyncio.gather(*(bring_up(service, settings(new_url)) for _ in range(3)))
    assert len(await revisions(new_url)) == 1


def test_a_service_without_tables_says_so() -> None:
    with pytest.raises(ConfigurationError, match="intent"):
        migrate("intent", "sqlite+aiosqlite://")


async def test_a_database_that_the_role_may_not_make_is_said_at_once(postgres: Postgres) -> None:
    role = f"role_{uuid.uuid4().hex}"
    await postgres.run(f"CREATE ROLE {role} LOGIN")
    with pytest.raises(ConfigurationError, match=r"there is no database nowhere, and it cannot be made: .*denied"):
        await bring_up("login", settings(postgres.url("nowhere", user=role)))


async def test_tables_that_the_role_may_not_make_are_said_at_once(postgres: Postgres) -> None:
    role = f"role_{uuid.uuid4().hex}"
    await postgres.run(f"CREATE ROLE {role} LOGIN")
    url = await postgres.new_database()
    with pytest.raises(ConfigurationError, match="the database of login cannot be migrated: permission denied"):
        await bring_up("login", settings(url.replace("zhiyin@", f"{role}@")))


async def test_who_does_not_migrate_waits_for_whoever_does(new_url: str) -> None:
    said: list[str] = []
    waiting = [
        asyncio.create_task(bring_up("login", settings(new_url), upgrade=False, say=said.append)) for _ in range(2)
    ]
    async with asyncio.timeout(30):
        await until_said(said)
        assert "does not exist" in said[0]
        await bring_up("login", settings(new_url), upgrade=True)
        await asyncio.gather(*waiting)


async def test_waiting_ends_with_what_is_missing(postgres: Postgres) -> None:
    url = await postgres.new_database()
    with pytest.raises(Unavailable, match=r"waited for in vain: its schema is at revision none, and \w+ is needed"):
        await bring_up("login", settings(url, migrate_on_start=False, database_wait_seconds=0.1))
    with pytest.raises(Unavailable, match=r"waited for in vain: .*Connect call failed"):
        await bring_up("login", settings("postgresql://x@127.0.0.1:9/y", database_wait_seconds=0.1))


@pytest.mark.parametrize("upgrade", [True, False])
async def test_a_server_that_is_not_there_yet_is_waited_for(own_server: Postgres, *, upgrade: bool) -> None:
    url = await own_server.new_database()
    if not upgrade:
        await asyncio.to_thread(migrate, "login", url)
    await own_server.stop()
    said: list[str] = []
    starting = asyncio.create_task(bring_up("login", settings(url), upgrade=upgrade, say=said.append))
    await until_said(said)
    await own_server.start()
    await asyncio.wait_for(starting, 30)
    assert len(await revisions(url)) == 1


@pytest.mark.parametrize("upgrade", [True, False])
async def test_a_newer_schema_is_what_a_rollback_leaves_and_is_kept(
    postgres: Postgres, tmp_path: Path, *, upgrade: bool
) -> None:
    for url in (await postgres.new_database(), f"sqlite+aiosqlite:///{tmp_path / 'service.sqlite'}"):
        await asyncio.to_thread(migrate, "dialogue", url)
        await set_revision(url, "9999_of_tomorrow")
        await bring_up("dialogue", settings(url), upgrade=upgrade)
        assert await revisions(url) == ["9999_of_tomorrow"]


async def command(*arguments: str, **variables: str) -> tuple[int, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZHIYIN_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.storage.migrations", *arguments),
        env=inherited | variables,
        cwd=PROJECT,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert out == b""
    assert process.returncode is not None
    return process.returncode, err.decode()


async def test_the_command_may_be_run_again(new_url: str) -> None:
    # As a chart's secret has it: without the driver, with a word of libpq's.
    url = new_url.replace("postgresql+asyncpg://zhiyin@", "postgresql://zhiyin:p%40ss%2Fw%25rd%3A@") + "?sslmode=prefer"
    for _ in range(2):
        code, said = await command("login", ZHIYIN_DATABASE_URL=url, ZHIYIN_ENVIRONMENT="production")
        assert (code, said.splitlines()[-1]) == (0, "The database of login has the newest schema.")
    assert len(await revisions(new_url)) == 1


async def test_the_command_says_in_a_sentence_why_it_failed() -> None:
    away = "postgresql://zhiyin:s3cret@127.0.0.1:9/login"
    code, said = await command("login", ZHIYIN_DATABASE_URL=away, ZHIYIN_DATABASE_WAIT_SECONDS="0.1")
    assert code == 3
    assert said.splitlines()[-1].startswith("The database of login was not migrated: ")
    assert "s3cret" not in said
    assert "Traceback" not in said
    code, said = await command("login", ZHIYIN_DATABASE_URL="mysql://x/y")
    assert (code, said.count("\n")) == (2, 1)
    code, said = await command("intent")
    assert code == 2
    assert "invalid choice: 'intent'" in said
