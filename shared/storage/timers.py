"""Durable timers: what has to happen later is a row in SQL, and every replica looks for those that are due.

A service has one table (a class derived from `TimerMixin`). A timer is set, moved and cancelled within the unit of work
that is its cause, so it is there if and only if the cause is. A replica that finds it due claims it by one conditional
update, which moves its next attempt into the future: a crash costs a delay. The handler's own unit of work takes the
timer away with `Timers.take`, which fails when it was moved or cancelled meanwhile; so what a timer does in SQL happens
once, and never after a cancellation that was committed before.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import JSON, Index, String, bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from shared.errors import Unavailable, ZhiyinError
from shared.storage.database import ALL_TENANTS, Database, TenantMixin, now
from shared.storage.statements import Statement, Unit, table_of, upsert_into

__all__ = ["DueTimer", "TimerGone", "TimerHandler", "TimerLoop", "TimerMixin", "Timers"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
BATCH = 50
AT_ONCE = 4
HANDLER_SECONDS = 30.0
"""A handler is stopped after this: the loop must beat."""
LEASE_SECONDS = 60.0
"""A timer whose replica died is claimed again after this."""
MOST_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 2.0
MOST_PAUSE_SECONDS = 600.0
MAX_KEY = 200
MAX_ERROR = 200

FIRED = Counter("zhiyin_timers_total", "Timers that were due, by what became of them", ["kind", "outcome"])
DEAD = Gauge("zhiyin_timers_dead", "Timers that were given up")


class TimerGone(ZhiyinError):
    """The timer was moved or cancelled since it was claimed, so what it was for must not happen."""


class TimerMixin(TenantMixin):
    """Columns of a service's table of timers; `attempt_at` is NULL in one that was given up."""

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(MAX_KEY), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    due_at: Mapped[datetime]
    attempt_at: Mapped[datetime | None]
    attempts: Mapped[int]
    token: Mapped[str] = mapped_column(String(32))
    error: Mapped[str | None] = mapped_column(String(MAX_ERROR))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Index, ...]:  # noqa: N805 - SQLAlchemy calls it on the class
        return (Index(f"ix_{cls.__tablename__}_attempt_at", "attempt_at"),)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class DueTimer:
    """A timer as it was found; `token` changes whenever it is set or claimed."""

    tenant: str
    key: str
    kind: str
    payload: dict[str, Any]
    due_at: datetime
    attempts: int
    token: str


TimerHandler = Callable[[DueTimer], Awaitable[None]]
"""Does what the timer is for, and calls `Timers.take` in its unit of work. One without takes place at least once."""


class Timers:
    """A service's timers, within its units of work."""

    def __init__(self, model: type[DeclarativeBase]) -> None:
        table = table_of(model)
        this = table.c.key == bindparam("of")
        mine = (this, table.c.token == bindparam("seen"))
        self._table = table
        self._set = upsert_into(
            model, "key", "kind", "payload", "due_at", "attempt_at", "attempts", "token", "error", key=("key",)
        )
        self._cancel = Statement(delete(table).where(this))
        self._take = Statement(delete(table).where(*mine).returning(table.c.key))
        self._claim = Statement(
            update(table)
            .where(*mine, table.c.attempt_at.is_not(None))
            .values(
                token=bindparam("new_token"),
                attempts=table.c.attempts + 1,
                attempt_at=bindparam("until", type_=table.c.attempt_at.type),
            )
            .returning(table.c.attempts)
        )
        self._put_off = Statement(
            update(table)
            .where(*mine)
            .values(
                attempts=bindparam("tried"),
                attempt_at=bindparam("at", type_=table.c.attempt_at.type),
                error=bindparam("why"),
            )
        )

    def set(self, unit: Unit, kind: str, key: str, due_at: datetime, payload: dict[str, Any] | None = None) -> None:
        """Sets the timer with this key, or moves it; also one that has been given up is new after this."""
        unit.run(
            self._set, key=key, kind=kind, payload=payload or {}, due_at=due_at, attempt_at=due_at, attempts=0,
            token=uuid.uuid4().hex, error=None,
        )  # fmt: skip

    def cancel(self, unit: Unit, key: str) -> None:
        """Removes the timer, if there is one."""
        unit.run(self._cancel, of=key)

    def take(self, unit: Unit, timer: DueTimer) -> None:
        """Removes a timer that was claimed, together with what the unit of work does.

        Raises:
            TimerGone: it was moved or cancelled meanwhile, or another replica has it now.
        """
        if unit.row(self._take, of=timer.key, seen=timer.token) is None:
            raise TimerGone(timer.key)

    def finish(self, unit: Unit, timer: DueTimer) -> None:
        """Removes a timer that was handled, unless it was taken, moved or cancelled meanwhile."""
        unit.row(self._take, of=timer.key, seen=timer.token)

    def claim(self, unit: Unit, timer: DueTimer, moment: datetime) -> DueTimer | None:
        """The timer for its next attempt, unless another replica was faster or it was moved or cancelled."""
        token = uuid.uuid4().hex
        until = moment + timedelta(seconds=LEASE_SECONDS)
        row = unit.row(self._claim, of=timer.key, seen=timer.token, new_token=token, until=until)
        if row is None:
            return None
        return DueTimer(timer.tenant, timer.key, timer.kind, timer.payload, timer.due_at, row[0], token)

    def put_off(self, unit: Unit, timer: DueTimer, *, attempts: int, at: datetime | None, why: str | None) -> None:
        """Has a timer that was claimed tried again `at` that moment, or never when there is none."""
        unit.run(self._put_off, of=timer.key, seen=timer.token, tried=attempts, at=at, why=why)

    async def due(self, session: AsyncSession, moment: datetime, kinds: list[str], limit: int) -> list[DueTimer]:
        """Timers of these kinds whose time has come, those that wait longest first."""
        table = self._table
        rows = await session.execute(
            select(*(table.c[name] for name in ("tenant", "key", "kind", "payload", "due_at", "attempts", "token")))
            .where(table.c.attempt_at <= moment, table.c.kind.in_(kinds))
            .order_by(table.c.attempt_at, table.c.due_at, table.c.key)
            .limit(limit)
        )
        return [DueTimer(*row) for row in rows]

    async def count_dead(self, session: AsyncSession) -> int:
        """How many timers were given up."""
        query = select(func.count()).select_from(self._table).where(self._table.c.attempt_at.is_(None))
        return int(await session.scalar(query) or 0)


class TimerLoop:
    """Claims timers that are due and has them handled, a few at once, each for a limited time."""

    def __init__(
        self,
        database: Database,
        timers: Timers,
        handlers: Mapping[str, TimerHandler],
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """Timers of a kind that has no handler here wait for a replica that knows them."""
        self._database = database
        self._timers = timers
        self._handlers = dict(handlers)
        self._clock = clock

    async def run(self, beat: Callable[[], None]) -> None:
        """Looks until it is cancelled; `beat` is called at every look, and at every timer."""
        while True:
            beat()
            try:
                handled = await self.look(beat)
            except (SQLAlchemyError, Unavailable) as error:
                handled = 0
                log.warning("timers_not_read", error=type(error).__name__)
            if handled < BATCH:
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self, beat: Callable[[], None] = lambda: None) -> int:
        """Handles what is due now, a batch at most; returns how many timers were claimed here.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.reading(ALL_TENANTS) as session:
            DEAD.set(await self._timers.count_dead(session))
            found = await self._timers.due(session, self._clock(), sorted(self._handlers), BATCH)
        waiting = list(reversed(found))

        async def some() -> int:
            handled = 0
            while waiting:
                beat()
                handled += await self._fire(waiting.pop())
            return handled

        async with asyncio.TaskGroup() as group:
            handling = [group.create_task(some()) for _ in range(min(AT_ONCE, len(found)))]
        return sum(each.result() for each in handling)

    async def _fire(self, found: DueTimer) -> bool:
        """Whether it was claimed here."""
        try:
            timer = await self._database.write(
                found.tenant, lambda unit: self._timers.claim(unit, found, self._clock())
            )
            if timer is None:
                return False
            FIRED.labels(timer.kind, await self._handle(timer)).inc()
        except (SQLAlchemyError, Unavailable) as error:
            # The lease runs out, and the timer is claimed again.
            log.warning("timer_left", kind=found.kind, error=type(error).__name__)
            return False
        return True

    async def _handle(self, timer: DueTimer) -> str:
        """What became of it."""
        if timer.attempts > MOST_ATTEMPTS:
            # Whoever tried last died of it.
            return await self._give_up(timer, "not finished")
        try:
            async with asyncio.timeout(HANDLER_SECONDS):
                await self._handlers[timer.kind](timer)
        except TimerGone:
            return "gone"
        except Unavailable:
            await self._again(timer, timer.attempts - 1, FIRST_PAUSE_SECONDS, None)
            return "put_off"
        except Exception as error:
            name = type(error).__name__
            log.error("timer_failed", kind=timer.kind, attempt=timer.attempts, error=name, exc_info=error)
            if timer.attempts >= MOST_ATTEMPTS:
                return await self._give_up(timer, name)
            pause = min(MOST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (timer.attempts - 1))
            await self._again(timer, timer.attempts, pause, name)
            return "failed"
        await self._database.write(timer.tenant, lambda unit: self._timers.finish(unit, timer))
        return "done"

    async def _again(self, timer: DueTimer, attempts: int, seconds: float, why: str | None) -> None:
        at = self._clock() + timedelta(seconds=seconds)
        await self._database.write(
            timer.tenant, lambda unit: self._timers.put_off(unit, timer, attempts=attempts, at=at, why=why)
        )

    async def _give_up(self, timer: DueTimer, why: str) -> str:
        log.error("timer_given_up", kind=timer.kind, key=timer.key, attempts=timer.attempts, error=why)
        await self._database.write(
            timer.tenant, lambda unit: self._timers.put_off(unit, timer, attempts=timer.attempts, at=None, why=why)
        )
        return "given_up"
