"""What cannot be stored is the input's fault, with SQLite as with PostgreSQL, whichever way it comes to SQL."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, String, bindparam, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from shared.errors import InvalidInput
from shared.storage.database import Database, TableBase, TenantMixin, new_metadata
from shared.storage.statements import Statement, insert_into, table_of
from tests.postgres import Postgres


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Note(TenantMixin, Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(8))
    text: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


NOTES = table_of(Note)
ADD = insert_into(Note, "id", "name", "text", "data")
FIND = Statement(select(NOTES.c.id).where(NOTES.c.name == bindparam("wanted")))
RENAME = Statement(update(NOTES).where(NOTES.c.id == bindparam("note")).values(name=bindparam("new_name")))
BAD = ["\x00", "a\x00b", "\ud800", "好\udfff"]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    """An empty table in each kind of database."""
    sqlite = f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}"
    database = Database(sqlite if request.param == "sqlite" else await postgres.new_database())
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield database
    await database.close()


async def names(database: Database) -> list[str]:
    """What is stored."""
    async with database.reading("a") as session:
        return list(await session.scalars(select(Note.name).order_by(Note.id)))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("field", ["name", "text"])
async def test_no_row_is_written_with_it(database: Database, field: str, bad: str) -> None:
    row: dict[str, Any] = {"name": "x", "text": "y", "data": {}, field: bad}
    with pytest.raises(InvalidInput):
        async with database.transaction("a") as session:
            session.add(Note(id=1, **row))
    with pytest.raises(InvalidInput):
        await database.write("a", lambda unit: unit.run(ADD, id=1, **row))
    with pytest.raises(InvalidInput):
        await database.write("a", lambda unit: unit.run_many(ADD, [{"id": 1, **row}]))
    assert await names(database) == []


@pytest.mark.parametrize("bad", BAD)
async def test_nothing_is_looked_for_with_it(database: Database, bad: str) -> None:
    for query in (
        select(Note).where(Note.name == bad),
        select(Note).where(Note.name > bad),
        select(Note).where(Note.name.in_(["x", bad])),
        update(Note).where(Note.id == 1).values(text=bad),
        delete(Note).where(Note.text == bad),
    ):
        with pytest.raises(InvalidInput):
            async with database.transaction("a") as session:
                await session.execute(query)
    with pytest.raises(InvalidInput):
        await database.read("a", lambda unit: unit.rows(FIND, wanted=bad))
    with pytest.raises(InvalidInput):
        await database.read(bad, lambda unit: unit.rows(FIND, wanted="x"))


async def test_what_is_written_fits_and_what_is_looked_for_need_not(database: Database) -> None:
    longest, longer = "好" * 8, "好" * 9
    await database.write("a", lambda unit: unit.run(ADD, id=1, name=longest, text=longer * 100, data={}))
    with pytest.raises(InvalidInput, match="9 characters is longer than the 8"):
        await database.write("a", lambda unit: unit.run(ADD, id=2, name=longer, text="", data={}))
    with pytest.raises(InvalidInput):
        await database.write("a", lambda unit: unit.run(RENAME, note=1, new_name=longer))
    with pytest.raises(InvalidInput):
        async with database.transaction("a") as session:
            session.add_all([Note(id=3, name="x", text="", data={}), Note(id=4, name=longer, text="", data={})])
    assert await database.read("a", lambda unit: unit.rows(FIND, wanted=longer)) == []
    assert await names(database) == [longest]


async def test_json_keeps_what_a_text_may_not_have(database: Database) -> None:
    data = {"a\x00b": ["\x00", "\ud800"]}
    await database.write("a", lambda unit: unit.run(ADD, id=1, name="x", text="y", data=data))
    async with database.reading("a") as session:
        assert await session.scalar(select(Note.data)) == data


async def test_after_a_refusal_the_connection_is_as_good_as_before(database: Database) -> None:
    for _ in range(30):
        with pytest.raises(InvalidInput):
            await database.write("a", lambda unit: unit.run(ADD, id=1, name="\x00", text="", data={}))
    await database.write("a", lambda unit: unit.run(ADD, id=1, name="x", text="\t\n好👍🏽", data={}))
    assert await names(database) == ["x"]
