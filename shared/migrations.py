"""What every service's Alembic `env.py` runs."""

import asyncio
import time
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database import SQLITE_BUSY_SECONDS, UtcDateTime

__all__ = ["run"]

LOCK_KEY = 7_418_235_001
"""One number for PostgreSQL's advisory lock, so that replicas that start together migrate one after the other."""


def run(metadata: MetaData) -> None:
    """Migrates the database that `shared.database.migrate` was called with."""
    asyncio.run(_run(metadata, context.config.attributes["url"]))


async def _run(metadata: MetaData, url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
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
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, render_item=_render_item)
    context.run_migrations()


def _write_ahead(connection: Connection) -> None:
    # The switch is kept in the file and made here, once, because SQLite does not wait with it for its other users:
    # processes that start together on a new file would find it locked.
    until = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    # A migration must not change its meaning when our own types do.
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False
