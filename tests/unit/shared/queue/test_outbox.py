"""The outbox: what is due is claimed before it is sent, and sent again until it is done."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.errors import Unavailable
from shared.queue.outbox import OutboxRelay, pause_after
from shared.storage.database import ALL_TENANTS, Database, TableBase, new_metadata, now

DEADLINE = 10.0
AGAIN = timedelta(hours=1)


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Item(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]


class Items:
    """A source over `items`; `fails` are raised one by one, each by the next `send`."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.claims = 0
        self.fails: list[Exception] = []
        self.failures: list[int] = []
        self.away: list[int] = []
        self.changed = asyncio.Event()

    async def has_due(self, session: AsyncSession, moment: datetime) -> bool:
        return await session.scalar(select(Item.id).where(Item.due_at <= moment).limit(1)) is not None

    async def claim(self, session: AsyncSession, moment: datetime, limit: int) -> Sequence[int]:
        self.claims += 1
        rows = (await session.scalars(select(Item).where(Item.due_at <= moment).order_by(Item.id).limit(limit))).all()
        for row in rows:
            row.due_at = moment + AGAIN
        return [row.id for row in rows]

    async def send(self, item: int) -> None:
        self.changed.set()
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append(item)

    async def failed(self, item: int, error: Exception) -> None:
        self.failures.append(item)

    async def put_off(self, items: Sequence[int]) -> None:
        self.away += items


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'items.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield database
    await database.close()


async def add(database: Database, *ids: int, due_at: datetime | None = None) -> None:
    async with database.transaction(ALL_TENANTS) as session:
        session.add_all([Item(id=each, due_at=due_at or now()) for each in ids])


async def make_due(database: Database, item: int) -> None:
    async with database.transaction(ALL_TENANTS) as session:
        row = await session.get(Item, item)
        assert row is not None
        row.due_at = now()


async def until(source: Items, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await source.changed.wait()
            source.changed.clear()


@asynccontextmanager
async def running(relay: OutboxRelay) -> AsyncIterator[list[int]]:
    """The relay at work; the list grows with its beats."""
    beats: list[int] = []
    task = asyncio.create_task(relay.run(lambda: beats.append(1)))
    try:
        yield beats
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_due_is_sent_once_and_what_is_not_waits(database: Database) -> None:
    source = Items()
    relay = OutboxRelay("test", database, source, look_seconds=60)
    await add(database, 1, 2)
    await add(database, 3, due_at=now() + AGAIN)

    assert await relay.look() == 2
    assert await relay.look() == 0

    assert source.sent == [1, 2]


async def test_nothing_due_begins_no_transaction(database: Database) -> None:
    source = Items()

    assert await OutboxRelay("test", database, source, look_seconds=60).look() == 0

    assert source.claims == 0


async def test_what_could_not_be_sent_is_due_again_later_and_not_lost(database: Database) -> None:
    source = Items()
    source.fails = [RedisConnectionError("away")]
    relay = OutboxRelay("test", database, source, look_seconds=60)
    await add(database, 1)

    with pytest.raises(RedisConnectionError):
        await relay.look()
    assert await relay.look() == 0
    await make_due(database, 1)
    assert await relay.look() == 1

    assert source.sent == [1]


async def test_a_kick_ends_the_wait(database: Database) -> None:
    source = Items()
    relay = OutboxRelay("test", database, source, look_seconds=3600)
    await add(database, 1)
    async with running(relay) as beats:
        await until(source, lambda: source.sent == [1])
        await add(database, 2)
        relay.kick()
        await until(source, lambda: source.sent == [1, 2])

    assert len(beats) >= 2


@pytest.mark.parametrize("failure", [RedisConnectionError("away"), RuntimeError("a row that cannot be read")])
async def test_a_failure_does_not_stop_the_loop(database: Database, failure: Exception) -> None:
    source = Items()
    source.fails = [failure]
    relay = OutboxRelay("test", database, source, look_seconds=3600)
    await add(database, 1)
    async with running(relay):
        await until(source, lambda: not source.fails)
        await make_due(database, 1)
        relay.kick()
        await until(source, lambda: source.sent == [1])


async def test_an_item_that_fails_by_itself_does_not_hold_up_the_others(database: Database) -> None:
    source = Items()
    source.fails = [RuntimeError("a row that cannot be read"), ValueError("another")]
    await add(database, 1, 2, 3, 4)

    assert await OutboxRelay("test", database, source, look_seconds=60).look() == 2

    assert (source.failures, source.sent, source.away) == ([1, 2], [3, 4], [])


@pytest.mark.parametrize("away", [RedisConnectionError("away"), Unavailable("business"), TimeoutError(), OSError()])
async def test_where_the_other_side_is_away_the_rest_is_put_off_and_no_failure(
    database: Database, away: Exception
) -> None:
    source = Items()
    source.fails = [away]
    await add(database, 1, 2, 3)

    with pytest.raises(type(away)):
        await OutboxRelay("test", database, source, look_seconds=60).look()

    assert (source.failures, source.sent, source.away) == ([], [], [1, 2, 3])


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 8), (2, 16), (3, 32), (6, 256), (7, 300), (10_000, 300)])
def test_pauses_double_up_to_the_longest_and_are_not_all_the_same(attempts: int, seconds: float) -> None:
    pauses = [pause_after(attempts, first_seconds=8, most_seconds=300) for _ in range(50)]
    assert all(timedelta(seconds=0.8 * seconds) <= pause <= timedelta(seconds=seconds) for pause in pauses)
    assert len(set(pauses)) > 1
