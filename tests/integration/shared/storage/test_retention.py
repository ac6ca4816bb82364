"""One timer deletes what is older than is kept, in small units of work, on both databases."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import ALL_TENANTS, Database, TableBase, TenantMixin, new_metadata, now
from shared.storage.retention import BATCH, RETENTION, Kept, Retention
from shared.storage.timers import TimerLoop, TimerMixin, Timers
from tests.postgres import Postgres

ROWS = 2 * BATCH + 5


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Timer(TimerMixin, Base):
    __tablename__ = "timers"


class Letter(TenantMixin, Base):
    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


TIMERS = Timers(Timer)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'letters.sqlite'}"
    database = Database(await postgres.new_database() if request.param == "postgresql" else url)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    for tenant in ("default", "other"):
        async with database.transaction(tenant) as session:
            session.add_all(
                Letter(created_at=now() - timedelta(days=days, seconds=number))
                for days in (3, 1)
                for number in range(ROWS)
            )
    yield database
    await database.close()


async def delete_letters(
    session: AsyncSession, before: datetime, since: datetime | None, limit: int
) -> Sequence[datetime]:
    query = select(Letter.id, Letter.created_at).where(Letter.created_at < before).order_by(Letter.created_at)
    if since is not None:
        query = query.where(Letter.created_at >= since)
    found = (await session.execute(query.limit(limit))).all()
    await session.execute(delete(Letter).where(Letter.id.in_([row.id for row in found])))
    return [row.created_at for row in found]


async def count(database: Database) -> int:
    async with database.reading(ALL_TENANTS) as session:
        return await session.scalar(select(func.count(Letter.id))) or 0


async def timer(database: Database) -> Timer | None:
    async with database.reading("default") as session:
        return await session.get(Timer, ("default", RETENTION))


def keeping(database: Database, days: int, **options: float) -> tuple[Retention, TimerLoop]:
    kept = Kept(what="letters", days=days, delete=delete_letters)
    keeper = Retention(database, TIMERS, "default", [kept], **options)
    return keeper, TimerLoop(database, TIMERS, {RETENTION: keeper.on_timer})


def deleted() -> float:
    return REGISTRY.get_sample_value("zhiyin_retention_deleted_total", {"what": "letters"}) or 0


async def test_what_is_over_is_deleted_and_looked_at_again_in_an_hour(database: Database) -> None:
    keeper, loop = keeping(database, 2)
    before = deleted()
    await keeper.begin()
    assert await loop.look() == 1
    assert await count(database) == 2 * ROWS, "of all tenants, and only what is old"
    assert deleted() - before == 2 * ROWS
    assert await loop.look() == 0
    again = await timer(database)
    assert again is not None
    assert timedelta(minutes=55) < again.due_at - now() <= timedelta(hours=1)


async def test_much_is_deleted_slice_by_slice(database: Database) -> None:
    keeper, loop = keeping(database, 2, slice_seconds=0.0)
    await keeper.begin()
    seen = []
    while await loop.look():
        seen.append(await count(database))
    assert seen == [4 * ROWS - min(done, 2 * ROWS) for done in range(BATCH, 2 * ROWS + BATCH, BATCH)]


async def test_without_a_limit_everything_stays(database: Database) -> None:
    keeper, loop = keeping(database, 0)
    await keeper.begin()
    assert await timer(database) is None
    assert await loop.look() == 0
    # What was begun with other settings ends with these.
    await keeping(database, 2)[0].begin()
    assert await timer(database) is not None
    await keeper.begin()
    assert await timer(database) is None
    await keeping(database, 2)[0].begin()
    assert await loop.look() == 1
    assert (await timer(database), await count(database)) == (None, 4 * ROWS)
