"""Prepared statements: what they refuse, and that none sees another tenant."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, String, Table, bindparam, delete, exists, func, insert, select, union_all, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database, TableBase, TenantMixin, new_metadata, now
from shared.storage.statements import Row, Statement, Unit, insert_into, table_of, upsert_into

DEADLINE = 15.0


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Letter(TenantMixin, Base):
    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    at: Mapped[datetime] = mapped_column(default=now)


class Stamp(TenantMixin, Base):
    __tablename__ = "stamps"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter: Mapped[str]


class Seat(TenantMixin, Base):
    __tablename__ = "seats"

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    guest: Mapped[str]


LETTERS, STAMPS = Letter.__table__, Stamp.__table__
assert isinstance(LETTERS, Table)
assert isinstance(STAMPS, Table)

ADD = insert_into(Letter, "text", "data", "at")
ADD_STAMP = insert_into(Stamp, "letter")
READ = Statement(select(LETTERS.c.text, LETTERS.c.data, LETTERS.c.at).order_by(LETTERS.c.text))
COUNT = Statement(select(func.count()).select_from(LETTERS))
STAMPED = Statement(select(LETTERS.c.text).join(STAMPS, STAMPS.c.letter == LETTERS.c.text).order_by(LETTERS.c.text))
NAMED_IN_CRITERIA = Statement(
    update(LETTERS).where(STAMPS.c.letter == LETTERS.c.text).values(data=None).returning(LETTERS.c.text)
)
CHANGE = Statement(update(LETTERS).values(data=bindparam("new", type_=LETTERS.c.data.type)).returning(LETTERS.c.text))
REMOVE = Statement(delete(LETTERS))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    for tenant in ("a", "b"):
        await database.write(tenant, fill)
    yield database
    await database.close()


def fill(unit: Unit) -> None:
    unit.run_many(
        ADD, [{"text": f"{unit.tenant}{number}", "data": {"number": number}, "at": now()} for number in (1, 2)]
    )
    unit.run(ADD_STAMP, letter="a1")
    unit.run(ADD_STAMP, letter="b1")


async def rows(database: Database, tenant: str, statement: Statement, **values: Any) -> list[Row]:
    return await database.write(tenant, lambda unit: unit.rows(statement, **values))


@pytest.mark.parametrize("tenant", ["a", "b"])
async def test_no_statement_sees_another_tenant(database: Database, tenant: str) -> None:
    one, two = (f"{tenant}1",), (f"{tenant}2",)
    assert [row[:1] for row in await rows(database, tenant, READ)] == [one, two]
    assert await rows(database, tenant, COUNT) == [(2,)]
    assert await rows(database, tenant, STAMPED) == [one], "each side of a join is limited"
    assert await rows(database, tenant, NAMED_IN_CRITERIA) == [one], "so is a table that only the criteria name"
    assert sorted(await rows(database, tenant, CHANGE, new={"changed": True})) == [one, two]
    assert await rows(database, "nobody", READ) == []


async def test_no_statement_removes_what_is_another_tenants(database: Database) -> None:
    await database.write("a", lambda unit: unit.run(REMOVE))
    assert await rows(database, "a", COUNT) == [(0,)]
    assert await rows(database, "b", COUNT) == [(2,)]


async def test_a_parameter_cannot_name_another_tenant(database: Database) -> None:
    await database.write("a", lambda unit: unit.run(ADD, text="new", data=None, at=now(), tenant="b"))
    assert await rows(database, "a", COUNT) == [(3,)]
    count = await database.read("b", lambda unit: unit.row(COUNT, tenant="a"))
    assert count == (2,)


async def test_a_unit_of_all_tenants_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="one tenant"):
        await rows(database, ALL_TENANTS, READ)


REFUSED: dict[str, Any] = {
    "subquery": select(select(LETTERS.c.text).subquery().c.text),
    "in": select(STAMPS.c.id).where(STAMPS.c.letter.in_(select(LETTERS.c.text))),
    "exists": select(STAMPS.c.id).where(exists().where(LETTERS.c.text == STAMPS.c.letter)),
    "cte": select(select(LETTERS.c.text).cte().c.text),
    "alias": select(LETTERS.alias().c.text),
    "union": union_all(select(LETTERS.c.text), select(LETTERS.c.text)),
    "outer join": select(LETTERS.c.text).join(STAMPS, STAMPS.c.letter == LETTERS.c.text, isouter=True),
    "insert from select": insert(STAMPS).from_select(["letter"], select(LETTERS.c.text)),
    "insert for a tenant": insert(STAMPS).values(letter="x", tenant="b"),
    "move to a tenant": update(STAMPS).values(tenant="b"),
}


@pytest.mark.parametrize("query", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_limited_is_refused_when_it_is_made(query: Any) -> None:
    with pytest.raises(ValueError, match=r"prepared statement|tenant"):
        Statement(query)


async def test_a_default_that_would_be_left_out_is_refused(database: Database) -> None:
    incomplete = insert_into(Letter, "text")
    with pytest.raises(ValueError, match="default"):
        await rows(database, "a", incomplete, text="x")


async def test_a_value_that_is_missing_is_an_error(database: Database) -> None:
    with pytest.raises(KeyError):
        await database.write("a", lambda unit: unit.run(ADD, text="x", data=None))
    assert await rows(database, "a", COUNT) == [(2,)]


async def test_a_unit_is_kept_as_a_whole_or_not_at_all(database: Database) -> None:
    def twice(unit: Unit) -> None:
        unit.run(ADD, text="new", data=None, at=now())
        unit.run(ADD, text="new", data=None, at=now())

    def broken(unit: Unit) -> None:
        unit.run(ADD, text="new", data=None, at=now())
        raise RuntimeError("anything")

    with pytest.raises(IntegrityError):
        await database.write("a", twice)
    with pytest.raises(RuntimeError, match="anything"):
        await database.write("a", broken)
    assert await rows(database, "a", COUNT) == [(2,)]


async def test_a_mistake_in_a_statement_is_not_called_an_outage(database: Database) -> None:
    nowhere = Table("nowhere", new_metadata(), Letter.__table__.c.id._copy())
    with pytest.raises(DBAPIError, match="nowhere"):
        await rows(database, "a", Statement(select(nowhere.c.id)))


async def test_of_units_that_are_committed_together_only_the_broken_one_fails(database: Database) -> None:
    def add(text: str) -> Callable[[Unit], str]:
        def work(unit: Unit) -> str:
            unit.run(ADD, text=text, data=None, at=now())
            if text == "broken":
                raise RuntimeError("anything")
            return text

        return work

    names = ["first", "a1", "broken", "last"]
    ended = await asyncio.gather(*(database.write("a", add(name)) for name in names), return_exceptions=True)
    assert [type(each) for each in ended] == [str, IntegrityError, RuntimeError, str]
    found = await database.read("a", lambda unit: unit.rows(READ))
    assert [row[0] for row in found] == ["a1", "a2", "first", "last"]


async def test_a_caller_who_is_gone_keeps_nobody_from_writing(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(unit: Unit) -> None:
        begun.set()
        assert go_on.wait(DEADLINE)
        unit.run(ADD, text="slow", data=None, at=now())

    running = asyncio.create_task(database.write("a", slow))
    assert await asyncio.to_thread(begun.wait, DEADLINE)
    waiting = asyncio.create_task(database.write("a", lambda unit: unit.run(REMOVE)))
    await asyncio.sleep(0)
    running.cancel()
    waiting.cancel()
    go_on.set()
    await asyncio.gather(running, waiting, return_exceptions=True)
    async with asyncio.timeout(DEADLINE):
        await database.write("a", lambda unit: unit.run(ADD, text="later", data=None, at=now()))
        async with database.transaction("a") as session:
            session.add(Letter(text="by session"))
    names = [row[0] for row in await database.read("a", lambda unit: unit.rows(READ))]
    assert names == ["a1", "a2", "by session", "later", "slow"], "who waits is not begun, what has begun ends whole"


async def test_a_write_after_the_close_is_refused_and_does_not_hang(database: Database) -> None:
    await database.close()
    with pytest.raises(Unavailable):
        async with asyncio.timeout(DEADLINE):
            await database.write("a", lambda unit: unit.run(REMOVE))


def _seated(put: Statement, number: int, guest: str, unit: Unit) -> None:
    unit.run(put, number=number, guest=guest)


async def test_an_upsert_replaces_what_the_tenant_has_under_the_key(database: Database) -> None:
    put = upsert_into(Seat, "number", "guest", key=("number",))
    seats = Statement(select(table_of(Seat).c.number, table_of(Seat).c.guest).order_by(table_of(Seat).c.number))
    for tenant, number, guest in (("a", 1, "anna"), ("a", 2, "ben"), ("b", 1, "eve"), ("a", 1, "carl")):
        await database.write(tenant, partial(_seated, put, number, guest))
    assert await database.read("a", lambda unit: unit.rows(seats)) == [(1, "carl"), (2, "ben")]
    assert await database.read("b", lambda unit: unit.rows(seats)) == [(1, "eve")]
    with pytest.raises(ValueError, match="tenant"):
        upsert_into(Seat, "tenant", "number", key=("number",))
    gone = Statement(delete(table_of(Seat)).where(table_of(Seat).c.number == 1).returning(table_of(Seat).c.guest))
    assert await database.write("a", lambda unit: unit.rows(gone)) == [("carl",)]
