"""SQL: sessions as units of work, and tenants kept apart by construction.

A service's tables derive from an abstract base of its own (`TableBase` with a `new_metadata()`), rows of a tenant mix
in `TenantMixin`. Within `Database.transaction(tenant)` every SELECT, UPDATE and DELETE of such a row is limited to that
tenant and every new row is stamped with it, so no query can forget to.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import DateTime, Dialect, MetaData, String, TypeDecorator, event, inspect, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria
from sqlalchemy.pool import ConnectionPoolEntry

from shared.errors import ConfigurationError

__all__ = ["ALL_TENANTS", "Database", "TableBase", "TenantMixin", "UtcDateTime", "migrate", "new_metadata", "now"]

ALL_TENANTS: Final = "*"
"""For sweeps that no tenant asked for: nothing is filtered, and nothing may be added without naming its tenant."""

SQLITE_BUSY_SECONDS = 20

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: goes in with any time zone, comes out in UTC, also from SQLite, which knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class TableBase(DeclarativeBase):
    """What every table derives from, by way of its service's own abstract base with a `new_metadata()`."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime()}


def new_metadata() -> MetaData:
    """The tables of one service; constraints have the same names in every database."""
    return MetaData(naming_convention=NAMING)


class TenantMixin:
    """A row that belongs to one company."""

    tenant: Mapped[str] = mapped_column(String(64), index=True)


class TenantSession(Session):
    """A session that sees one tenant."""


@event.listens_for(TenantSession, "do_orm_execute")
def _limit_to_tenant(state: ORMExecuteState) -> None:
    tenant = state.session.info["tenant"]
    mapper = state.bind_mapper
    if state.is_insert and mapper is not None and issubclass(mapper.class_, TenantMixin):
        raise ValueError(f"{mapper.class_.__name__}: add rows to the session, which stamps them with their tenant")
    if tenant != ALL_TENANTS and not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(
            with_loader_criteria(TenantMixin, lambda cls: cls.tenant == tenant, include_aliases=True)
        )


@event.listens_for(TenantSession, "before_flush")
def _stamp_tenant(session: Session, _context: Any, _instances: Any) -> None:
    tenant = session.info["tenant"]
    for row in session.new:
        if not isinstance(row, TenantMixin):
            continue
        if tenant == ALL_TENANTS:
            if not row.tenant:
                raise ValueError(f"{type(row).__name__}: a new row outside a tenant must name its own")
        elif row.tenant not in (None, tenant):
            raise ValueError(f"{type(row).__name__}: a row of tenant {row.tenant!r} in a session of {tenant!r}")
        else:
            row.tenant = tenant
    for row in session.dirty:
        if isinstance(row, TenantMixin) and inspect(row).attrs.tenant.history.has_changes():
            raise ValueError(f"{type(row).__name__}: a row stays with its tenant")


class Database:
    """One service's database, by URL: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.is_sqlite:
            _make_parent(url)
            self.engine = create_async_engine(
                url, pool_size=pool_size, hide_parameters=True, connect_args={"timeout": SQLITE_BUSY_SECONDS}
            )
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        else:
            self.engine = create_async_engine(url, pool_size=pool_size, hide_parameters=True, pool_pre_ping=True)
        self._sessions = async_sessionmaker(self.engine, sync_session_class=TenantSession, expire_on_commit=False)
        # SQLite has one writer; queueing here is fair, waiting inside SQLite polls and starves.
        self._writer = asyncio.Lock() if self.is_sqlite else None

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """One unit of work of one tenant: commits at the end, rolls back on any error."""
        async with self._writer or nullcontext(), self._session(tenant, "IMMEDIATE") as session:
            yield session
            await session.commit()

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """A consistent view for reading; what is changed in it is not kept."""
        async with self._session(tenant, "DEFERRED") as session:
            yield session

    @asynccontextmanager
    async def _session(self, tenant: str, begin: str) -> AsyncIterator[AsyncSession]:
        async with self._sessions() as session:
            session.sync_session.info["tenant"] = tenant
            if self.is_sqlite:
                await session.connection(execution_options={"sqlite_begin": begin})
            yield session

    async def check(self) -> None:
        """Answers when the database does; raises what the driver raises."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Gives the connections back."""
        await self.engine.dispose()


def _make_parent(url: str) -> None:
    file = make_url(url).database
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    # The driver's own implicit BEGIN comes too late for IMMEDIATE; `_begin_sqlite` says it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    # WAL lets readers go on beside the writer; FULL makes a commit survive a power cut, which is what we promise.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can deadlock with another one; IMMEDIATE takes the lock at once.
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")


_migrating = threading.Lock()
"""Alembic keeps what it works on in module globals, so a process migrates one database at a time."""


def migrate(service: str, url: str) -> None:
    """Brings a service's database to its newest revision; safe to run again and beside another process doing it."""
    scripts = Path(__file__).parent.parent / "services" / service / "migrations"
    if not scripts.is_dir():
        raise ConfigurationError(f"service {service!r} has no migrations")
    if make_url(url).get_backend_name() == "sqlite":
        _make_parent(url)
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["url"] = url
    with _migrating:
        command.upgrade(config, "head")
