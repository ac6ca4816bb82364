"""A database that goes away while it is used, and comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Column, MetaData, String, Table, bindparam, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from shared.errors import Unavailable
from shared.storage.database import Database
from shared.storage.statements import Statement, Unit
from tests.postgres import Postgres, postgres
from tests.stack import eventually


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Postgres]:
    """A server of these tests' own, because they stop it; each leaves it running."""
    async with postgres() as running:
        yield running


@pytest.fixture
async def database(server: Postgres) -> AsyncIterator[Database]:
    made = Database(await server.new_database())
    async with made.transaction("a") as session:
        await session.execute(text("CREATE TABLE notes (text VARCHAR)"))
    yield made
    await made.close()


async def count(database: Database) -> int:
    async with database.reading("a") as session:
        return int((await session.execute(text("SELECT count(*) FROM notes"))).scalar_one())


async def add(database: Database) -> None:
    async with database.transaction("a") as session:
        await session.execute(text("INSERT INTO notes VALUES ('one')"))


async def add_while_it_stops(database: Database, server: Postgres, *, then_more: bool) -> None:
    async with database.transaction("a") as session:
        await session.execute(text("INSERT INTO notes VALUES ('half')"))
        await server.stop()
        if then_more:
            await session.execute(text("INSERT INTO notes VALUES ('other half')"))


async def test_a_database_that_stops_is_unavailable_until_it_is_back(server: Postgres, database: Database) -> None:
    await add(database)
    await server.stop()
    for work in (add, count):
        with pytest.raises(Unavailable) as caught:
            await work(database)
        assert caught.value.retry_after
    with pytest.raises(Unavailable):
        await database.check()
    await server.start()
    await add(database)
    assert await count(database) == 2


@pytest.mark.parametrize("then_more", [True, False])
async def test_a_unit_of_work_that_is_cut_off_leaves_nothing_and_says_so(
    server: Postgres, database: Database, *, then_more: bool
) -> None:
    """Before its end or at its commit."""
    with pytest.raises(Unavailable):
        await add_while_it_stops(database, server, then_more=then_more)
    with pytest.raises(Unavailable):
        await add(database)
    await server.start()
    assert await count(database) == 0


async def test_a_server_that_ends_our_connections_is_connected_to_again(server: Postgres, database: Database) -> None:
    assert await count(database) == 0
    await server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'zhiyin'"
    )

    async def works() -> bool:
        return await count(database) == 0

    await eventually(works)


async def test_a_connection_that_lives_is_used_again(database: Database) -> None:
    async def backend() -> int:
        async with database.reading("a") as session:
            return int((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())

    assert await backend() == await backend()


async def test_a_mistake_in_a_statement_is_not_called_an_outage(database: Database) -> None:
    with pytest.raises(Exception, match="nothing_like_it") as caught:
        async with database.reading("a") as session:
            await session.execute(text("SELECT * FROM nothing_like_it"))
    assert not isinstance(caught.value, Unavailable)


NOTES = Table("notes", MetaData(), Column("text", String))
ADD = Statement(insert(NOTES).values(text=bindparam("text")))
COUNT = Statement(select(func.count()).select_from(NOTES))
SLEEP = Statement(select(func.pg_sleep(60)))


async def add_by_unit(database: Database, *texts: str) -> None:
    await database.write("a", lambda unit: unit.run_many(ADD, [{"text": each} for each in texts]))


async def count_by_unit(database: Database) -> int:
    return int((await database.read("a", lambda unit: unit.rows(COUNT)))[0][0])


async def test_units_are_unavailable_until_the_database_is_back(server: Postgres, database: Database) -> None:
    await add_by_unit(database, "one", "two")
    await server.stop()
    for work in (add_by_unit(database, "three"), count_by_unit(database)):
        with pytest.raises(Unavailable) as caught:
            await work
        assert caught.value.retry_after
    with pytest.raises(Unavailable):
        await database.check()
    await server.start()
    await add_by_unit(database, "four")
    assert await count_by_unit(database) == 3


async def test_no_unit_fails_because_its_connections_were_ended(server: Postgres, database: Database) -> None:
    await asyncio.gather(*(count_by_unit(database) for _ in range(5)))
    await server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'zhiyin'"
    )
    assert await asyncio.gather(*(count_by_unit(database) for _ in range(5))) == [0] * 5


async def test_a_unit_that_is_cancelled_in_a_statement_leaves_nothing(server: Postgres, database: Database) -> None:
    def slow(unit: Unit) -> None:
        unit.run(ADD, text="lost")
        unit.run(SLEEP)

    working = asyncio.create_task(database.write("a", slow))

    async def asleep() -> bool:
        async with database.reading("a") as session:
            query = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
            )
            return bool((await session.execute(text(query))).scalar_one())

    await eventually(asleep)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await count_by_unit(database) == 0
    async with database.transaction("a") as session:
        await session.execute(text("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE NOWAIT"))


async def test_a_unit_that_is_refused_leaves_its_connection_usable(database: Database) -> None:
    nowhere = Statement(select(Table("nowhere", MetaData(), Column("id", String)).c.id))
    with pytest.raises(DBAPIError, match="nowhere"):
        await database.read("a", lambda unit: unit.rows(nowhere))
    assert await count_by_unit(database) == 0


async def test_connections_in_use_are_measured(database: Database) -> None:
    def used() -> float:
        return REGISTRY.get_sample_value("zhiyin_database_connections_used") or 0

    before = used()
    async with database.transaction("a") as session:
        await session.execute(text("SELECT 1"))
        assert used() == before + 1
        assert REGISTRY.get_sample_value("zhiyin_database_connections_limit") == 20
    assert used() == before
    await database.read("a", lambda unit: unit.tenant)
    assert used() == before
