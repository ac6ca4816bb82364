"""A service's tables at the right revision: who brings them there, and who waits until they are.

`python -m shared.storage.migrations <service>` waits for the database, makes it where its role may, and migrates; it
may be run any number of times and beside others. Exit codes: 2 for settings that cannot be used, 3 when it did not
succeed.

Revisions are expand-contract, so a program works on its own revision and on every newer one. A revision that it does
not know is newer than itself: what is left there after a rollback.
"""

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy import URL, Connection, MetaData, text
from sqlalchemy.exc import DBAPIError, OperationalError

from shared.errors import ConfigurationError, Unavailable
from shared.logs import configure_logs
from shared.settings import ServiceSettings, explain
from shared.storage.database import SQLITE_BUSY_SECONDS, UtcDateTime, parse_url, single_connection_engine

__all__ = ["bring_up", "main", "migrate", "run", "services_with_tables"]

log = structlog.get_logger(__name__)

Say = Callable[[str], None]

LOCK_KEY = 7_418_235_001
"""One number for PostgreSQL's advisory lock, so that replicas that start together migrate one after the other."""

PROJECT = Path(__file__).parents[2]
LOOK_SECONDS = 0.5
MAINTENANCE_DATABASE = "postgres"
NO_SUCH_DATABASE, DATABASE_EXISTS, EXISTS_JUST_NOW = "3D000", "42P04", "23505"
UNUSABLE_SETTINGS = 2
FAILED = 3

_migrating = threading.Lock()
"""Alembic keeps what it works on in module globals, so a process migrates one database at a time."""


def services_with_tables() -> list[str]:
    """The services that have a database, by name."""
    return sorted(path.parent.parent.name for path in PROJECT.glob("services/*/migrations/env.py"))


def migrate(service: str, url: str, revision: str = "head") -> None:
    """Brings a service's database to its newest revision; safe to run again and beside another process doing it.

    Args:
        revision: an older one, to see what a later one makes of its data.

    Raises:
        Unavailable: the database does not answer.
    """
    config = _config(service)
    config.attributes["url"] = url
    with _migrating:
        command.upgrade(config, revision)


async def bring_up(
    service: str, settings: ServiceSettings, *, upgrade: bool | None = None, say: Say | None = None
) -> None:
    """Returns when the database answers and has the revision of this program or a newer one.

    Args:
        upgrade: whether to migrate the database, after making it if there is none, or to wait until another process has
            done so; by default what the settings say.
        say: receives what is waited for, whenever that changes; by default it is logged.

    Raises:
        Unavailable: it was not so within `database_wait_seconds`.
        ConfigurationError: the database cannot be used as the settings say, and waiting would not help.
    """
    url = parse_url(settings.database(service))
    upgrade = settings.migrate_on_start if upgrade is None else upgrade
    until = time.monotonic() + settings.database_wait_seconds
    said = ""
    while problem := await _step(service, url, upgrade=upgrade):
        if time.monotonic() >= until:
            raise Unavailable(f"the database of {service} was waited for in vain: {problem}")
        if problem != said:
            said = problem
            sentence = f"waiting for the database of {service}: {problem}"
            say(sentence) if say else log.info("database_awaited", database=service, problem=problem)
        await asyncio.sleep(LOOK_SECONDS)


async def _step(service: str, url: URL, *, upgrade: bool) -> str:
    """Does what can be done now; says what is in the way, nothing when all is well."""
    try:
        if not upgrade:
            return await _behind(service, url)
        await asyncio.to_thread(migrate, service, url.render_as_string(hide_password=False))
    except Unavailable as error:
        cause = error.__cause__
        if upgrade and getattr(cause, "sqlstate", None) == NO_SUCH_DATABASE:
            return await _make(url)
        if url.get_backend_name() == "sqlite":
            raise ConfigurationError(f"the database of {service} cannot be used: {_line(cause)}") from error
        return _line(cause)
    except DBAPIError as error:
        raise ConfigurationError(f"the database of {service} cannot be migrated: {_line(error.orig)}") from error
    return ""


async def _behind(service: str, url: URL) -> str:
    scripts = ScriptDirectory.from_config(_config(service))
    engine = single_connection_engine(url)
    try:
        async with engine.connect() as connection:
            revision = await connection.run_sync(_revision)
    finally:
        await engine.dispose()
    head = scripts.get_current_head()
    if revision == head or (revision is not None and _is_newer(revision, scripts)):
        return ""
    return f"its schema is at revision {revision or 'none'}, and {head} is needed"


async def _make(url: URL) -> str:
    engine = single_connection_engine(url.set(database=MAINTENANCE_DATABASE))
    name = engine.dialect.identifier_preparer.quote(str(url.database))
    try:
        async with engine.connect() as connection:
            outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await outside.execute(text(f"CREATE DATABASE {name}"))
    except Unavailable as error:
        return f"there is no database {url.database}, and none can be made: {_line(error.__cause__)}"
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in (DATABASE_EXISTS, EXISTS_JUST_NOW):
            raise ConfigurationError(
                f"there is no database {url.database}, and it cannot be made: {_line(error.orig)}"
            ) from error
    finally:
        await engine.dispose()
    log.info("database_made", database=url.database)
    return "it has just been made"


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _is_newer(revision: str, scripts: ScriptDirectory) -> bool:
    return revision not in {each.revision for each in scripts.walk_revisions()}


def _line(error: BaseException | None) -> str:
    words = str(error).strip() or type(error).__name__
    # SQLAlchemy puts the class of the driver's error before its words.
    return words.splitlines()[0].rpartition("'>: ")[2]


def _config(service: str) -> Config:
    scripts = PROJECT / "services" / service / "migrations"
    if not scripts.is_dir():
        raise ConfigurationError(f"service {service!r} has no migrations")
    config = Config()
    config.set_main_option("script_location", str(scripts))
    return config


def run(metadata: MetaData) -> None:
    """What every service's Alembic `env.py` does: migrates the database that `migrate` was called with."""
    asyncio.run(_run(metadata, parse_url(context.config.attributes["url"])))


async def _run(metadata: MetaData, url: URL) -> None:
    engine = single_connection_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, metadata)
            await connection.commit()
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, metadata: MetaData) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
        _write_ahead(connection)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    revision = _revision(connection)
    if revision is not None and _is_newer(revision, context.script):
        log.info("schema_is_newer", revision=revision)
        return
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, render_item=_render_item)
    context.run_migrations()


def _write_ahead(connection: Connection) -> None:
    # The switch is kept in the file and made here, once, because SQLite does not wait with it for its other users:
    # processes that start together on a new file would find it locked.
    until = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except (OperationalError, Unavailable):
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    # A migration must not change its meaning when our own types do.
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def main(arguments: Sequence[str] | None = None) -> None:
    """Brings the database of the service that the command line names to the newest schema."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.storage.migrations", description="Migrates a service's database."
    )
    parser.add_argument("service", choices=services_with_tables())
    service: str = parser.parse_args(arguments).service
    configure_logs("migrations", "error")

    def say(sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")

    try:
        settings = ServiceSettings()
        asyncio.run(bring_up(service, settings, upgrade=True, say=say))
    except (ConfigurationError, ValidationError, SettingsError) as error:
        say(f"The database of {service} cannot be migrated: {explain(error)}")
        sys.exit(UNUSABLE_SETTINGS)
    except Unavailable as error:
        say(f"The database of {service} was not migrated: {error}")
        sys.exit(FAILED)
    say(f"The database of {service} has the newest schema.")


if __name__ == "__main__":
    main()
