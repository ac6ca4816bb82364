"""Units of work and tenants, on SQLite."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, delete, event, exists, func, insert, select, union_all, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Mapped, aliased, mapped_column

from shared.errors import ConfigurationError, Unavailable
from shared.storage.database import ALL_TENANTS, Database, TableBase, TenantMixin, new_metadata, now, parse_url
from shared.storage.migrations import migrate

OVERFLOW = 10
"""Connections that a pool opens beyond its size."""
DEADLINE = 15.0


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Note(TenantMixin, Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)
    at: Mapped[datetime | None] = mapped_column(default=None)


class Counter(Base):
    """A row of nobody's."""

    __tablename__ = "counters"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'below' / 'test.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield database
    await database.close()


async def write(database: Database, tenant: str, *texts: str) -> None:
    async with database.transaction(tenant) as session:
        session.add_all([Note(text=text) for text in texts])


async def texts(database: Database, tenant: str) -> list[str]:
    async with database.reading(tenant) as session:
        return list(await session.scalars(select(Note.text).order_by(Note.text)))


async def test_a_unit_of_work_is_kept_as_a_whole_or_not_at_all(database: Database) -> None:
    await write(database, "a", "one", "two")
    with pytest.raises(IntegrityError):
        await write(database, "a", "three", "one")

    async def broken() -> None:
        async with database.transaction("a") as session:
            session.add(Note(text="four"))
            await session.flush()
            raise RuntimeError("anything")

    with pytest.raises(RuntimeError):
        await broken()
    assert await texts(database, "a") == ["one", "two"]


async def test_what_is_changed_while_reading_is_not_kept(database: Database) -> None:
    await write(database, "a", "one")
    async with database.reading("a") as session:
        (await session.scalars(select(Note))).one().text = "changed"
        await session.flush()
    assert await texts(database, "a") == ["one"]


async def test_a_unit_of_work_that_is_cancelled_in_a_statement_locks_nobody_out(database: Database) -> None:
    await write(database, "a", "kept")

    async def change() -> None:
        async with database.transaction("a") as session:
            event.listen(database.engine.sync_engine, "before_cursor_execute", cancel, once=True)
            await session.execute(update(Note).values(text="lost").returning(Note.id))

    working = asyncio.create_task(change())

    def cancel(*_: Any) -> None:
        asyncio.get_running_loop().call_soon(working.cancel)

    gc.disable()
    try:
        # What it ended with holds on to the statement, as a log or a debugger may.
        [ended] = await asyncio.gather(working, return_exceptions=True)
        await write(database, "a", "written")
    finally:
        gc.enable()
    assert isinstance(ended, asyncio.CancelledError)
    assert await texts(database, "a") == ["kept", "written"]


async def test_a_reader_sees_one_moment(database: Database) -> None:
    await write(database, "a", "one")
    async with database.reading("a") as session:
        before = list(await session.scalars(select(Note.text)))
        await write(database, "a", "two")
        assert list(await session.scalars(select(Note.text))) == before
    assert await texts(database, "a") == ["one", "two"]


async def test_writers_of_one_process_and_of_two_lose_no_update(database: Database) -> None:
    other = Database(database.url)
    async with database.transaction("a") as session:
        session.add(Counter(id=1, value=0))

    async def increment(through: Database) -> None:
        async with through.transaction("a") as session:
            counter = await session.get(Counter, 1)
            assert counter is not None
            await asyncio.sleep(0)
            counter.value += 1

    await asyncio.gather(*(increment(each) for each in (database, other) for _ in range(25)))
    async with database.reading("a") as session:
        assert await session.scalar(select(Counter.value)) == 50
    await other.close()


ALIAS = aliased(Note)
SUBQUERY = select(Note.text).subquery()
CTE = select(Note.text).cte()
QUERIES: dict[str, Select[Any]] = {
    "rows": select(Note.text),
    "alias": select(ALIAS.text),
    "subquery": select(SUBQUERY.c.text),
    "cte": select(CTE.c.text),
    "join": select(ALIAS.text).join(Note, Note.id != ALIAS.id),
    "in": select(Note.text).where(Note.id.in_(select(ALIAS.id))),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
async def test_no_query_sees_another_tenant(database: Database, query: Select[Any]) -> None:
    await write(database, "a", "a1", "a2")
    await write(database, "b", "b1", "b2")
    for tenant in ("a", "b"):
        async with database.reading(tenant) as session:
            assert sorted((await session.scalars(query)).all()) == [f"{tenant}1", f"{tenant}2"]
    async with database.reading("c") as session:
        assert (await session.scalars(query)).all() == []


async def test_no_other_way_leads_to_another_tenant(database: Database) -> None:
    await write(database, "a", "a1")
    await write(database, "b", "b1")
    async with database.transaction("a") as session:
        assert await session.scalar(select(func.count()).select_from(Note)) == 1
        assert await session.scalar(select(exists().where(Note.text == "b1"))) is False
        assert (await session.scalars(union_all(select(Note.text), select(Note.text)))).all() == ["a1", "a1"]
        assert await session.get(Note, 2) is None
        await session.execute(update(Note).values(at=now()))
        await session.execute(delete(Note).where(Note.text == "b1"))
        await session.execute(delete(Note).where(Note.id.in_(select(Note.id).where(Note.text == "b1"))))
    async with database.reading(ALL_TENANTS) as session:
        rows = (await session.execute(select(Note.text, Note.tenant, Note.at.is_(None)).order_by(Note.text))).all()
    assert [tuple(row) for row in rows] == [("a1", "a", False), ("b1", "b", True)]


async def test_nothing_is_written_for_another_tenant(database: Database) -> None:
    await write(database, "a", "a1")
    with pytest.raises(ValueError, match="tenant 'b'"):
        async with database.transaction("a") as session:
            session.add(Note(text="x", tenant="b"))
    with pytest.raises(ValueError, match="stays with its tenant"):
        async with database.transaction("a") as session:
            (await session.scalars(select(Note))).one().tenant = "b"
    for statement in (insert(Note).values(text="x", tenant="b"), insert(Note)):
        with pytest.raises(ValueError, match="add rows to the session"):
            async with database.transaction("a") as session:
                await session.execute(statement, [{"text": "x", "tenant": "b"}])
    assert await texts(database, ALL_TENANTS) == ["a1"]


async def test_a_sweep_sees_all_and_names_the_tenant_of_what_it_adds(database: Database) -> None:
    await write(database, "a", "a1")
    await write(database, "b", "b1")
    async with database.transaction(ALL_TENANTS) as session:
        session.add(Note(text="a2", tenant="a"))
    with pytest.raises(ValueError, match="must name its own"):
        await write(database, ALL_TENANTS, "nobody's")
    assert await texts(database, ALL_TENANTS) == ["a1", "a2", "b1"]
    assert await texts(database, "a") == ["a1", "a2"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moment=st.datetimes(datetime(1900, 1, 2), datetime(9000, 1, 1)),
    hours=st.integers(-12, 14),
)
async def test_a_moment_stays_the_same_in_any_zone(database: Database, moment: datetime, hours: int) -> None:
    said = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    async with database.transaction("a") as session:
        await session.execute(delete(Note))
        session.add(Note(text="when", at=said))
    async with database.reading("a") as session:
        kept = await session.scalar(select(Note.at))
    assert kept == said
    assert kept.tzinfo is UTC


async def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        async with database.transaction("a") as session:
            session.add(Note(text="when", at=datetime(2026, 11, 3)))


async def test_foreign_keys_and_the_safe_journal_are_on(database: Database) -> None:
    async with database.engine.connect() as connection:
        pragmas = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "journal_mode", "synchronous")
        ]
    assert pragmas == [1, "wal", 2]


async def test_the_check_tells_when_the_database_is_away(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'there' / 'test.sqlite'}")
    await database.check()
    await database.close()
    (tmp_path / "there" / "test.sqlite").unlink()
    (tmp_path / "there").rmdir()
    with pytest.raises(Unavailable):
        await database.check()
    await database.close()


async def test_a_database_whose_connections_are_all_at_work_answers(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}", pool_size=1)
    async with AsyncExitStack() as at_work:
        for _ in range(OVERFLOW):
            await at_work.enter_async_context(database.reading("a"))
        async with database.reading("a"):
            pass
        await at_work.enter_async_context(database.reading("a"))
        async with asyncio.timeout(DEADLINE):
            await database.check()
    await database.close()


@pytest.mark.parametrize(
    "written",
    [
        "postgresql+asyncpg://me:p%40ss%2Fw%25rd%3A@db:5432/login?ssl=require",
        "postgresql://me:p%40ss%2Fw%25rd%3A@db:5432/login?sslmode=require",
        "postgres://me:p%40ss%2Fw%25rd%3A@db:5432/login?sslmode=require",
    ],
)
def test_an_address_is_understood_however_it_is_written(written: str) -> None:
    url = parse_url(written)
    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.database) == ("me", "p@ss/w%rd:", "db", "login")
    assert dict(url.query) == {"ssl": "require"}


@pytest.mark.parametrize("written", ["s3cret", "mysql://me:s3cret@db/login", "postgresql+psycopg://me:s3cret@db/login"])
def test_an_address_that_cannot_be_used_is_not_repeated(written: str) -> None:
    with pytest.raises(ConfigurationError, match="ZHIYIN_DATABASE_URL") as caught:
        Database(written)
    assert "s3cret" not in str(caught.value)


def test_a_service_without_migrations_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing"):
        migrate("nothing", f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
