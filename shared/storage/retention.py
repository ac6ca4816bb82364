"""Retention: what a company keeps for so many days only is deleted then, in small batches, by one durable timer.

Each batch is a unit of work of its own, so whoever writes meanwhile waits for one batch at most. A service says what
may go; what is still under way never does, however old it is.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.statements import Unit
from shared.storage.timers import DueTimer, Timers

__all__ = ["RETENTION", "Kept", "Retention"]

log = structlog.get_logger(__name__)

RETENTION = "retention"
"""The kind of the timer, and its key."""
EVERY = timedelta(hours=1)
BATCH = 50
SLICE_SECONDS = 10.0
"""So long one timer deletes at most; what is left is done by the next, at once."""
PAUSE_SECONDS = 0.02
"""Between batches, for others who write."""

DELETED = Counter("zhiyin_retention_deleted_total", "What was deleted because it was older than is kept", ["what"])

Delete = Callable[[AsyncSession, datetime, datetime | None, int], Awaitable[Sequence[datetime]]]
"""Deletes up to so many of what was over before the first moment, the oldest first, made at or after the second one.

It returns when each of them was made, in order.
"""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Something that is kept for so many days after its end; 0 keeps it for ever."""

    what: str
    days: int
    delete: Delete


class Retention:
    """Has a service's tables keep no more than they should; of all tenants, since the setting is the installation's."""

    def __init__(
        self,
        database: Database,
        timers: Timers,
        tenant: str,
        kept: Sequence[Kept],
        *,
        slice_seconds: float = SLICE_SECONDS,
    ) -> None:
        """The timer is a row of `tenant`, the installation's own."""
        self._slice_seconds = slice_seconds
        self._database = database
        self._timers = timers
        self._tenant = tenant
        self._kept = [each for each in kept if each.days]
        for each in self._kept:
            DELETED.labels(each.what)

    async def begin(self) -> None:
        """Has it looked at now, or no more where everything is kept; at every start, for settings may have changed."""

        def begin(unit: Unit) -> None:
            if self._kept:
                self._timers.set(unit, RETENTION, RETENTION, now())
            else:
                self._timers.cancel(unit, RETENTION)

        await self._database.write(self._tenant, begin)

    async def on_timer(self, timer: DueTimer) -> None:
        """Deletes what is over, for a while, and has the rest looked at again.

        Raises:
            TimerGone: another replica has begun anew meanwhile; what was deleted stays so.
        """
        until = time.monotonic() + self._slice_seconds
        left = [each for each in self._kept if await self._sweep(each, until)]

        def again(unit: Unit) -> None:
            self._timers.take(unit, timer)
            if self._kept:
                self._timers.set(unit, RETENTION, RETENTION, now() + (timedelta() if left else EVERY))

        await self._database.write(timer.tenant, again)

    async def _sweep(self, kept: Kept, until: float) -> bool:
        """Deletes until nothing is over any more, or the time is; whether there may be something left."""
        since: datetime | None = None
        count = 0
        while True:
            before = now() - timedelta(days=kept.days)
            async with self._database.transaction(ALL_TENANTS) as session:
                made = await kept.delete(session, before, since, BATCH)
            DELETED.labels(kept.what).inc(len(made))
            count += len(made)
            if len(made) < BATCH or time.monotonic() >= until:
                break
            since = made[-1]
            await asyncio.sleep(PAUSE_SECONDS)
        if count:
            log.info("retention_deleted", what=kept.what, count=count)
        return len(made) == BATCH
