"""SQL: sessions as units of work, and tenants kept apart by construction.

A service's tables derive from an abstract base of its own (`TableBase` with a `new_metadata()`), rows of a tenant mix
in `TenantMixin`. Within `Database.transaction(tenant)` every SELECT, UPDATE and DELETE of such a row is limited to that
tenant and every new row is stamped with it, so no query can forget to.

There are two ways to a unit of work. `transaction` and `reading` give a session with ORM objects. `write` and `read`
run a plain function over prepared statements (`shared.storage.statements`) and cost a fraction of that: with SQLite
the whole unit is one hop to a thread, with PostgreSQL it talks to the driver directly.

One module because both ways share connections, the writer's queue, and what counts as an outage.
"""

import asyncio
import math
import sqlite3
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import structlog
from prometheus_client import Gauge
from sqlalchemy import DateTime, Dialect, MetaData, String, TypeDecorator, event, inspect, text
from sqlalchemy.engine import URL, Connection, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from shared.errors import ConfigurationError, Unavailable
from shared.storage.statements import Unit
from shared.storage.storable import check_execution

__all__ = ["ALL_TENANTS", "Database", "TableBase", "TenantMixin", "UtcDateTime", "new_metadata", "now", "parse_url"]

log = structlog.get_logger(__name__)

ALL_TENANTS: Final = "*"
"""For sweeps that no tenant asked for: nothing is filtered, and nothing may be added without naming its tenant."""

SQLITE_BUSY_SECONDS = 20
CONNECT_SECONDS = 3
COMMAND_SECONDS = 20
"""A server that is gone without a word must not hold a request for ever."""
POOL_SECONDS = 5
EXTRA_CONNECTIONS = 10
"""Beyond the size of the pool, for as long as they are needed."""
ANSWERED_SECONDS = 2.0
"""So long ago a database that answers may have done it last."""
RETRY_AFTER_SECONDS = 2.0
SQLITE_READERS = 4
WRITES_AT_ONCE = 32
"""Units of work that one commit makes durable at most."""

USED = Gauge("zhiyin_database_connections_used", "Connections of the pool that are in use")
LIMIT = Gauge("zhiyin_database_connections_limit", "Connections that the pool may have; nothing with SQLite")

T = TypeVar("T")

POSTGRES_AWAY = ("08", "53", "57", "25006")
"""PostgreSQL's codes for connections, resources that ran out, an operator's shutdown or start, and a replica."""
SQLITE_AWAY = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
)

SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
"""WAL lets readers go on beside the writer; FULL makes a commit survive a power cut, which is what we promise."""

ASKS_WHETHER_ALIVE: ContextVar[bool] = ContextVar("asks_whether_alive", default=True)
"""Whether a connection that was used before is asked for a sign of life when it is taken from the pool."""

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
    """One service's database, by URL: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`.

    Whenever it does not answer, now or in the middle of a unit of work, `Unavailable` is raised; the next unit of work
    reconnects.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        parsed = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            make_parent(parsed)
            self.engine = create_async_engine(
                parsed, pool_size=pool_size, hide_parameters=True, connect_args={"timeout": SQLITE_BUSY_SECONDS}
            )
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
            event.listen(self.engine.sync_engine, "invalidate", _end_sqlite)
        else:
            address, tls = _with_tls(parsed)
            self.engine = create_async_engine(
                address,
                pool_size=pool_size,
                max_overflow=EXTRA_CONNECTIONS,
                pool_timeout=POOL_SECONDS,
                hide_parameters=True,
                connect_args={"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS, **tls},
            )
            _replace_dead_connections(self.engine)
            _count_connections(self.engine)
            LIMIT.set(pool_size + EXTRA_CONNECTIONS)
        _tell_when_away(self.engine)
        event.listen(self.engine.sync_engine, "before_cursor_execute", check_execution)
        self._sessions = async_sessionmaker(self.engine, sync_session_class=TenantSession, expire_on_commit=False)
        # SQLite has one writer; queueing here is fair, waiting inside SQLite polls and starves.
        self._writer = asyncio.Lock() if self.is_sqlite else None
        self._answered_at = -math.inf
        self._sqlite = _SqliteThreads(parsed, self.engine.dialect, self._writer) if self._writer else None

    async def write(self, tenant: str, work: Callable[[Unit], T]) -> T:
        """What `work` returns; what it wrote is committed, or nothing of it when it raises.

        Raises:
            IntegrityError: a constraint refused what it wrote.
        """
        return await self._run(tenant, work, writing=True)

    async def read(self, tenant: str, work: Callable[[Unit], T]) -> T:
        """What `work` returns from a consistent view; it must not write."""
        return await self._run(tenant, work, writing=False)

    async def _run(self, tenant: str, work: Callable[[Unit], T], *, writing: bool) -> T:
        if tenant == ALL_TENANTS:
            raise ValueError("prepared statements are of one tenant")
        try:
            if self._sqlite is not None:
                run = self._sqlite.write if writing else self._sqlite.read
                result = await run(tenant, work)
            else:
                result = await greenlet_spawn(self._on_postgres, tenant, work)
        except Unavailable as error:
            if not isinstance(error.__cause__, PoolTimeout):
                self._answered_at = -math.inf
            raise
        self._answered_at = time.monotonic()
        return result

    def _on_postgres(self, tenant: str, work: Callable[[Unit], T]) -> T:
        """Runs in a greenlet, in which plain calls may wait for the event loop."""
        connection, driver = self._begun()
        try:
            result = work(Unit(driver, self.engine.dialect, tenant))
            driver.control("COMMIT")
        except Exception as error:
            if driver.closed or isinstance(error, OSError):
                connection.invalidate()
                log.warning("database_connection_lost", error=type(error).__name__)
                raise _away() from error
            try:
                driver.control("ROLLBACK")
            except Exception:
                connection.invalidate()
            raise
        except BaseException:
            # Cancelled in the middle: what the server still does on this connection is unknown.
            connection.invalidate()
            raise
        finally:
            connection.close()
        return result

    def _begun(self) -> "tuple[PoolProxiedConnection, _PostgresDriver]":
        """A connection with a transaction; BEGIN says whether it lives, so that nothing else has to ask."""
        for asks in (False, True):
            token = ASKS_WHETHER_ALIVE.set(asks)
            try:
                connection = self.engine.sync_engine.raw_connection()
            except (PoolTimeout, OSError) as error:
                raise _away() from error
            finally:
                ASKS_WHETHER_ALIVE.reset(token)
            driver = _PostgresDriver(connection.driver_connection)
            try:
                driver.control("BEGIN")
            except BaseException as error:
                connection.invalidate()
                connection.close()
                if asks or not isinstance(error, Exception):
                    raise
                # Others in the pool may have died with it: from now on each is asked, and replaced.
            else:
                return connection, driver
        raise AssertionError("the second attempt returns or raises")

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
        try:
            async with self._sessions() as session:
                session.sync_session.info["tenant"] = tenant
                try:
                    await session.connection(execution_options={"sqlite_begin": begin} if self.is_sqlite else None)
                except (PoolTimeout, OSError) as error:
                    raise _away() from error
                yield session
        except Unavailable as error:
            if not isinstance(error.__cause__, PoolTimeout):
                self._answered_at = -math.inf
            raise
        self._answered_at = time.monotonic()

    async def check(self) -> None:
        """Answers when the database does, or has just done: a process that is busy with it needs no question more,
        which would wait for a connection behind all the others.

        Raises:
            Unavailable: it does not.
        """
        if time.monotonic() - self._answered_at < ANSWERED_SECONDS:
            return
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Gives the connections back."""
        if self._sqlite is not None:
            await asyncio.to_thread(self._sqlite.close)
        await self.engine.dispose()


class _PostgresDriver:
    """An asyncpg connection for a function that runs in a greenlet; the driver keeps its prepared statements."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def closed(self) -> bool:
        return bool(self._connection.is_closed())

    def control(self, sql: str) -> None:
        with _translated(sql):
            await_only(self._connection.execute(sql))

    def fetch(self, sql: str, arguments: list[Any]) -> Iterable[Sequence[Any]]:
        with _translated(sql):
            found: Iterable[Sequence[Any]] = await_only(self._connection.fetch(sql, *arguments))
        return found

    def execute_many(self, sql: str, arguments: list[list[Any]]) -> None:
        with _translated(sql):
            await_only(self._connection.executemany(sql, arguments))


class _SqliteDriver:
    """A `sqlite3` connection of the thread that runs the unit of work."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fetch(self, sql: str, arguments: list[Any]) -> Iterable[Sequence[Any]]:
        with _translated(sql):
            return self._connection.execute(sql, arguments).fetchall()

    def execute_many(self, sql: str, arguments: list[list[Any]]) -> None:
        with _translated(sql):
            self._connection.executemany(sql, arguments)


@dataclass(frozen=True)
class _Write:
    """A unit of work that waits for the writing thread."""

    tenant: str
    work: Callable[[Unit], Any]
    result: asyncio.Future[Any]


class _SqliteThreads:
    """Threads that run whole units of work, each on a connection of its own: one for writing, some for reading.

    Units that wait to write are committed together: making a commit durable takes longer than all their statements.
    Each is a savepoint, so one that fails takes nothing of the others back, and none is answered before the commit.
    A unit whose caller was cancelled while it ran comes to its end, so it leaves no lock.
    """

    def __init__(self, url: URL, dialect: Dialect, turn: asyncio.Lock) -> None:
        self._path = url.database or ":memory:"
        self._dialect = dialect
        self._turn = turn
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._readers = ThreadPoolExecutor(SQLITE_READERS, thread_name_prefix="sqlite-reader")
        self._own = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._waiting: list[_Write] = []
        self._writing: asyncio.Task[None] | None = None

    async def read(self, tenant: str, work: Callable[[Unit], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, tenant, work)

    async def write(self, tenant: str, work: Callable[[Unit], T]) -> T:
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(tenant, work, result))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="sqlite-writes")
        return await result

    def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        while self._open:
            self._open.pop().close()

    async def _write_all(self) -> None:
        """Commits what waits, and what has come meanwhile, until nothing is left."""
        loop = asyncio.get_running_loop()
        batch: list[_Write] = []
        try:
            while self._waiting:
                async with self._turn:
                    batch = [each for each in self._waiting[:WRITES_AT_ONCE] if not each.result.done()]
                    del self._waiting[:WRITES_AT_ONCE]
                    outcomes = await loop.run_in_executor(self._writer, self._write, batch)
                for each, (value, error) in zip(batch, outcomes, strict=True):
                    if each.result.done():
                        continue
                    if error is None:
                        each.result.set_result(value)
                    else:
                        each.result.set_exception(error)
        except RuntimeError:
            # The threads were closed meanwhile; without an answer these callers would wait for ever.
            for each in (*batch, *self._waiting):
                if not each.result.done():
                    each.result.set_exception(_away())
            self._waiting.clear()
        finally:
            self._writing = None

    def _read(self, tenant: str, work: Callable[[Unit], T]) -> T:
        driver = _SqliteDriver(connection := self._connection())
        try:
            driver.fetch("BEGIN", [])
            return work(Unit(driver, self._dialect, tenant))
        finally:
            with suppress(sqlite3.Error):
                connection.rollback()

    def _write(self, batch: list[_Write]) -> list[tuple[Any, Exception | None]]:
        """For each unit its value or its error; when the commit fails, that is the error of all."""
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            driver = _SqliteDriver(connection := self._connection())
        except Exception as error:
            return [(None, error)] * len(batch)
        try:
            driver.fetch("BEGIN IMMEDIATE", [])
            for each in batch:
                driver.fetch("SAVEPOINT unit", [])
                try:
                    outcomes.append((each.work(Unit(driver, self._dialect, each.tenant)), None))
                except Exception as error:
                    if not connection.in_transaction:
                        # SQLite has given up all of it, as it does when the disk is full.
                        raise
                    outcomes.append((None, error))
                    driver.fetch("ROLLBACK TO unit", [])
                driver.fetch("RELEASE unit", [])
            driver.fetch("COMMIT", [])
        except Exception as error:
            with suppress(sqlite3.Error):
                connection.rollback()
            return [(None, error)] * len(batch)
        return outcomes

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if found is None:
            with _translated("connect"):
                found = sqlite3.connect(
                    self._path, timeout=SQLITE_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                for pragma in SQLITE_PRAGMAS:
                    found.execute(f"PRAGMA {pragma}")
            self._own.connection = found
            self._open.append(found)
        return found


class _translated:  # noqa: N801 - used as a function
    """Raises a driver's error as the session's way would: `Unavailable`, `IntegrityError` or `DBAPIError`."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or not isinstance(error, Exception):
            return
        if _says_away(error):
            log.warning("database_connection_lost", error=type(error).__name__, code=getattr(error, "sqlstate", None))
            raise _away() from error
        sqlstate = str(getattr(error, "sqlstate", None) or "")
        if isinstance(error, sqlite3.IntegrityError) or sqlstate.startswith("23"):
            raise IntegrityError(self._sql, None, error) from error
        raise DBAPIError(self._sql, None, error) from error


def parse_url(url: str) -> URL:
    """The address of a database with the driver that this project uses, however it was written.

    Raises:
        ConfigurationError: it is no address, or of a kind of database that is not supported.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The address itself is not repeated: it may have a password in it.
        raise ConfigurationError("ZHIYIN_DATABASE_URL is not an address of the form postgresql://…/name") from error
    if parsed.drivername in ("sqlite", "sqlite+aiosqlite"):
        return parsed.set(drivername="sqlite+aiosqlite")
    if parsed.drivername not in ("postgres", "postgresql", "postgresql+asyncpg"):
        raise ConfigurationError(f"ZHIYIN_DATABASE_URL: {parsed.drivername} is neither postgresql nor sqlite")
    # Others call it `sslmode`, the driver `ssl`; the values are the same.
    query = {"ssl" if name == "sslmode" else name: value for name, value in parsed.query.items()}
    return parsed.set(drivername="postgresql+asyncpg", query=query)


def _with_tls(url: URL) -> tuple[URL, dict[str, Any]]:
    """The address, and what the driver is given beside it where the server's certificate is to be verified.

    The driver would read the authorities from a file in the home folder, and knows no `sslrootcert` in an address. Here
    they are the system's unless a file is named, with which `require` verifies too, as in libpq.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    mode, authorities = url.query.get("ssl"), url.query.get("sslrootcert")
    verifies = mode in ("verify-ca", "verify-full") or (mode == "require" and authorities is not None)
    if authorities is not None:
        url = url.difference_update_query(["sslrootcert"])
    if not verifies:
        return url, {}
    try:
        context = ssl.create_default_context(cafile=None if authorities in (None, "system") else str(authorities))
    except OSError as error:
        raise ConfigurationError("ZHIYIN_DATABASE_URL: sslrootcert is no file with certificates") from error
    context.check_hostname = mode == "verify-full" or authorities == "system"
    return url.difference_update_query(["ssl"]), {"ssl": context}


def single_connection_engine(url: URL) -> AsyncEngine:
    """An engine without a pool, for what is done once; errors are those of `Database`."""
    make_parent(url)
    address, tls = _with_tls(url)
    arguments = {"timeout": SQLITE_BUSY_SECONDS if url.get_backend_name() == "sqlite" else CONNECT_SECONDS, **tls}
    engine = create_async_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    _tell_when_away(engine)
    return engine


def _replace_dead_connections(engine: AsyncEngine) -> None:
    """Asks a connection whether it lives before it is used again, and makes the pool reconnect when it does not.

    One round trip to the server, where SQLAlchemy's own `pool_pre_ping` takes three.
    """

    def on_checkin(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used"] = True

    def on_checkout(connection: Any, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if "used" in record.info and ASKS_WHETHER_ALIVE.get():
            try:
                connection.run_async(lambda driver: driver.execute("SELECT 1"))
            except Exception as error:
                log.warning("database_connections_replaced", error=type(error).__name__)
                raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "checkin", on_checkin)
    event.listen(engine.sync_engine, "checkout", on_checkout)


def _count_connections(engine: AsyncEngine) -> None:
    """Measures how much of the pool is in use."""

    def on_checkin(_connection: Any, _record: ConnectionPoolEntry) -> None:
        USED.dec()

    def on_checkout(_connection: Any, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        USED.inc()

    # After the check of whether it lives, which may refuse the connection.
    event.listen(engine.sync_engine, "checkin", on_checkin)
    event.listen(engine.sync_engine, "checkout", on_checkout)


def _tell_when_away(engine: AsyncEngine) -> None:
    """Turns errors that say that the database cannot be reached, or cannot serve now, into `Unavailable`."""

    def on_connect(dialect: Dialect, _record: ConnectionPoolEntry, place: list[Any], options: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*place, **options)
        except Exception as error:
            raise _away() from error

    def on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        # A cancelled call is no failure, though its connection cannot be used any more.
        if isinstance(error, Exception) and (context.is_disconnect or _says_away(error)):
            log.warning("database_connection_lost", error=type(error).__name__, code=getattr(error, "sqlstate", None))
            raise _away() from error

    event.listen(engine.sync_engine, "do_connect", on_connect)
    event.listen(engine.sync_engine, "handle_error", on_error)


def _says_away(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        # The lower byte is the kind of error, the rest its circumstances.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in SQLITE_AWAY
    return isinstance(error, OSError) or str(getattr(error, "sqlstate", None) or "").startswith(POSTGRES_AWAY)


def _away() -> Unavailable:
    return Unavailable("the database does not answer; try again", retry_after=RETRY_AFTER_SECONDS)


def make_parent(url: URL) -> None:
    """Makes the folder of a database that is a file."""
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    # The driver's own implicit BEGIN comes too late for IMMEDIATE; `_begin_sqlite` says it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _end_sqlite(connection: Any, _record: ConnectionPoolEntry, _error: BaseException | None) -> None:
    # Closing alone would not end what was cancelled in the middle of a statement: SQLite keeps the file locked until
    # the statement is let go of, which here is whenever garbage is collected.
    with suppress(Exception):
        connection.rollback()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can deadlock with another one; IMMEDIATE takes the lock at once.
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")
