"""Timers: each takes place when it is due, once, and never after it was cancelled, whatever happens in between."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database, TableBase, TenantMixin, new_metadata
from shared.storage.statements import Statement, Unit, insert_into, table_of
from shared.storage.timers import BATCH, LEASE_SECONDS, MOST_ATTEMPTS, DueTimer, TimerLoop, TimerMixin, Timers
from tests.clocks import Clock
from tests.postgres import Postgres
from tests.stack import eventually

FAR = 1_000_000.0


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Timer(TimerMixin, Base):
    __tablename__ = "timers"


class Effect(TenantMixin, Base):
    __tablename__ = "effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    of: Mapped[str]


TIMERS = Timers(Timer)
ADD_EFFECT = insert_into(Effect, "of")
EFFECTS = Statement(select(table_of(Effect).c.of).order_by(table_of(Effect).c.id))


class Killed(BaseException):
    """The process ends here."""


class Replica:
    """A process with its loop; `before` and `after` happen around the unit of work of its handler."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.before: Callable[[Unit], None] | None = None
        self.trouble: BaseException | None = None
        self.after: BaseException | None = None
        self.tried = 0
        self.order: list[str] = []
        self.loop = TimerLoop(database, TIMERS, {"ring": self.ring}, clock=clock)

    async def ring(self, timer: DueTimer) -> None:
        self.tried += 1
        self.order.append(timer.key)
        if self.before is not None:
            await self.database.write(timer.tenant, self.before)
        if self.trouble is not None:
            raise self.trouble

        def effect(unit: Unit) -> None:
            unit.run(ADD_EFFECT, of=timer.payload["name"])
            TIMERS.take(unit, timer)

        await self.database.write(timer.tenant, effect)
        if self.after is not None:
            raise self.after

    async def look(self) -> None:
        with suppress(BaseExceptionGroup):
            await self.loop.look()


async def effects(database: Database, tenant: str = "default") -> list[str]:
    return await database.read(tenant, lambda unit: [row[0] for row in unit.rows(EFFECTS)])


async def set_timer(database: Database, clock: Clock, key: str, seconds: float, name: str = "", **more: Any) -> None:
    at = clock() + timedelta(seconds=seconds)
    payload = {"name": name or key}
    await database.write(
        more.get("tenant", "default"), lambda unit: TIMERS.set(unit, more.get("kind", "ring"), key, at, payload)
    )


@asynccontextmanager
async def tables(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'timers.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    async with tables(url) as database:
        yield database


keys = st.sampled_from("ab")
seconds = st.integers(0, 30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), keys, seconds),
        st.tuples(st.just("cancel"), keys),
        st.tuples(st.just("advance"), st.integers(1, 40)),
        st.tuples(
            st.just("look"),
            st.sampled_from(["well", "dies_before", "dies_after", "fails", "cancelled", "moved", "refused"]),
        ),
    ),
    max_size=10,
)


@given(steps)
def test_any_order_of_events(steps: list[tuple[Any, ...]]) -> None:
    """Set, moved, cancelled, claimed, killed: what was not taken back takes place once, and nothing else does."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with tables(f"sqlite+aiosqlite:///{folder}/timers.sqlite") as database:
                await played(database, steps)

    asyncio.run(play())


async def played(database: Database, steps: list[tuple[Any, ...]]) -> None:
    clock = Clock()
    made: dict[str, str] = {}
    """The timer that stands under each key: its name, which no other had."""
    taken_back: dict[str, int] = {}
    """How often each timer that was moved or cancelled had taken place by then."""

    async def take_back(key: str) -> None:
        if key in made:
            name = made.pop(key)
            taken_back[name] = (await effects(database)).count(name)

    for number, (what, *how) in enumerate(steps):
        name = f"timer {number}"
        if what == "set":
            await take_back(how[0])
            await set_timer(database, clock, how[0], how[1], name)
            made[how[0]] = name
        elif what == "cancel":
            await database.write("default", partial(TIMERS.cancel, key=how[0]))
            await take_back(how[0])
        elif what == "advance":
            clock.advance(how[0])
        else:
            replica = Replica(database, clock)
            if how[0] in ("cancelled", "moved"):
                # All of them, while the handler of the first is about to begin.
                later = clock() + timedelta(seconds=30)

                def meanwhile(unit: Unit, how: str = how[0], later: Any = later, name: str = name) -> None:
                    for key in "ab":
                        TIMERS.cancel(unit, key)
                        if how == "moved":
                            TIMERS.set(unit, "ring", key, later, {"name": name + key})

                replica.before = meanwhile
            replica.trouble = {"dies_before": Killed(), "fails": ValueError(), "refused": Unavailable()}.get(how[0])
            replica.after = Killed() if how[0] == "dies_after" else None
            before = await effects(database)
            await replica.look()
            if replica.before is not None and replica.tried:
                assert await effects(database) == before, "moved or cancelled before it took place"
                for key in "ab":
                    await take_back(key)
                    if how[0] == "moved":
                        made[key] = name + key
    rest = Replica(database, clock)
    for _ in range(3):
        clock.advance(FAR)
        await rest.look()
    seen = await effects(database)
    assert {name: seen.count(name) for name in taken_back} == taken_back
    assert {name: seen.count(name) for name in made.values()} == dict.fromkeys(made.values(), 1)
    assert all(seen.count(name) <= 1 for name in seen)


async def test_nothing_takes_place_before_its_time_and_what_is_due_longest_comes_first(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    for key, wait in (("c", 30), ("a", 10), ("b", 20), ("d", 40)):
        await set_timer(database, clock, key, wait)
    await replica.look()
    assert replica.order == []
    clock.advance(30)
    async with database.reading(ALL_TENANTS) as session:
        assert [each.key for each in await TIMERS.due(session, clock(), ["ring"], 2)] == ["a", "b"]
    await replica.look()
    assert sorted(await effects(database)) == ["a", "b", "c"]
    await replica.look()
    assert replica.tried == 3


async def test_replicas_share_what_is_due(database: Database) -> None:
    clock = Clock()
    for number in range(20):
        await set_timer(database, clock, f"key {number}", 1)
    clock.advance(2)
    replicas = [Replica(database, clock) for _ in range(3)]
    await asyncio.gather(*(each.look() for each in replicas))
    assert sorted(await effects(database)) == sorted(f"key {number}" for number in range(20))
    assert sum(each.tried for each in replicas) == 20, "each was claimed by one of them"


async def test_a_timer_is_as_durable_as_its_cause(database: Database) -> None:
    clock = Clock()

    def cause(unit: Unit) -> None:
        TIMERS.set(unit, "ring", "a", clock(), {"name": "a"})
        raise ValueError("the unit of work fails")

    with pytest.raises(ValueError, match="fails"):
        await database.write("default", cause)
    replica = Replica(database, clock)
    await replica.look()
    assert replica.tried == 0


async def test_a_replica_that_dies_costs_a_delay(database: Database) -> None:
    clock = Clock()
    await set_timer(database, clock, "a", 0)
    dying = Replica(database, clock)
    dying.trouble = Killed()
    await dying.look()
    other = Replica(database, clock)
    await other.look()
    assert (dying.tried, other.tried) == (1, 0), "it may still be at it"
    clock.advance(LEASE_SECONDS + 1)
    await other.look()
    assert await effects(database) == ["a"]


@pytest.mark.parametrize("trouble", [ValueError("x"), Killed()], ids=["fails", "kills"])
async def test_what_always_fails_is_given_up_and_keeps_no_other_waiting(
    database: Database, trouble: BaseException
) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    await set_timer(database, clock, "bad", 0)
    replica.trouble = trouble
    for _ in range(MOST_ATTEMPTS + 2):
        await replica.look()
        clock.advance(FAR)
    assert replica.tried == MOST_ATTEMPTS
    async with database.reading(ALL_TENANTS) as session:
        assert await TIMERS.count_dead(session) == 1
    replica.trouble = None
    await set_timer(database, clock, "good", 0)
    await replica.look()
    assert await effects(database) == ["good"]
    await set_timer(database, clock, "bad", 0)
    await replica.look()
    assert await effects(database) == ["good", "bad"], "set again it is new"


async def test_an_outage_is_not_counted(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    replica.trouble = Unavailable("the database")
    await set_timer(database, clock, "a", 0)
    for _ in range(MOST_ATTEMPTS * 2):
        await replica.look()
        clock.advance(LEASE_SECONDS)
    replica.trouble = None
    await replica.look()
    assert await effects(database) == ["a"]


async def test_tenants_and_unknown_kinds_are_left_alone(database: Database) -> None:
    clock = Clock()
    await set_timer(database, clock, "a", 0, "mine")
    await set_timer(database, clock, "a", 0, "theirs", tenant="another")
    await set_timer(database, clock, "b", 0, kind="of a later release")
    await database.write("another", lambda unit: TIMERS.cancel(unit, "a"))
    replica = Replica(database, clock)
    await replica.look()
    assert await effects(database) == ["mine"]
    assert await effects(database, "another") == []
    assert replica.order == ["a"]


async def test_the_loop_beats_and_works_off_a_heap(tmp_path: Path) -> None:
    async with tables(f"sqlite+aiosqlite:///{tmp_path}/timers.sqlite") as database:
        clock = Clock()
        for number in range(BATCH + 5):
            await set_timer(database, clock, f"key {number:02}", 0)
        replica, beats = Replica(database, clock), 0

        def beat() -> None:
            nonlocal beats
            beats += 1

        running = asyncio.create_task(replica.loop.run(beat))

        async def all_done() -> bool:
            return len(await effects(database)) == BATCH + 5

        await eventually(all_done, what="the timers")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert beats > BATCH
