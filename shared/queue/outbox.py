"""The outbox: sends what was committed to SQL until the other side has confirmed it.

What must be sent is written in the same transaction as the decision to send it. A relay in every replica claims what
is due and sends it. A claim moves the row's next attempt into the future before anything is sent, so a crash between
the two costs a delay; sending twice does no harm, because the receiver goes by the id.

The tables belong to the service: an `OutboxSource` claims the rows and sends one of them. Where the other side is away
the rest of the batch waits. A row that fails by itself is the source's business, and never holds up the others.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["QUEUE_ERRORS", "OutboxRelay", "OutboxSource", "pause_after"]

log = structlog.get_logger(__name__)

QUEUE_ERRORS = (RedisError, OSError, TimeoutError)
"""What is raised while the queue is away."""

BATCH = 50
MAX_DOUBLINGS = 16

ItemT = TypeVar("ItemT")


class OutboxSource(Protocol[ItemT]):
    """Where a service keeps what is to be sent, and how one item is sent."""

    async def has_due(self, session: AsyncSession, moment: datetime) -> bool:
        """Whether anything is due; a cheap query, because it is called at every look."""
        ...

    async def claim(self, session: AsyncSession, moment: datetime, limit: int) -> Sequence[ItemT]:
        """Take what is due, skip what another replica has locked, and set when each row is due again.

        It must not read what may be unreadable: one row would keep all the others from being claimed.
        """
        ...

    async def send(self, item: ItemT) -> None:
        """Send one item; raises one of `QUEUE_ERRORS` or `Unavailable` while the other side is away."""
        ...

    async def failed(self, item: ItemT, error: Exception) -> None:
        """One item cannot be sent, for a reason of its own: count it, and give it up in the end."""
        ...

    async def put_off(self, items: Sequence[ItemT]) -> None:
        """The other side is away: these were claimed and not sent, which is no fault of theirs."""
        ...


class OutboxRelay:
    """Looks for due items every `look_seconds`, and at once after `kick`."""

    def __init__(self, name: str, database: Database, source: OutboxSource[Any], *, look_seconds: float) -> None:
        self._name = name
        self._database = database
        self._source = source
        self._look_seconds = look_seconds
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Look now: something new was committed."""
        self._kicked.set()

    async def run(self, beat: Callable[[], None]) -> None:
        """Send until cancelled; `beat` is called at every look and before each item."""
        while True:
            beat()
            self._kicked.clear()
            try:
                await self.look(beat)
            except (*QUEUE_ERRORS, SQLAlchemyError, Unavailable) as error:
                log.warning("outbox_not_sent", outbox=self._name, error=type(error).__name__)
            except Exception as error:
                log.error("outbox_failed", outbox=self._name, error=type(error).__name__, exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._kicked.wait()

    async def look(self, beat: Callable[[], None] = lambda: None) -> int:
        """Send what is due now, a batch at most; returns how many items were sent.

        Raises:
            QUEUE_ERRORS: the queue is away.
            Unavailable: the database is, or the other side.
        """
        moment = now()
        # SQLite has one writer: a transaction is only begun when there is something to claim.
        async with self._database.reading(ALL_TENANTS) as session:
            if not await self._source.has_due(session, moment):
                return 0
        async with self._database.transaction(ALL_TENANTS) as session:
            items = await self._source.claim(session, moment, BATCH)
        sent = 0
        for place, item in enumerate(items):
            beat()
            try:
                await self._source.send(item)
                sent += 1
            except (*QUEUE_ERRORS, Unavailable):
                await self._source.put_off(items[place:])
                raise
            except Exception as error:
                # Without its text, which may repeat what a customer wrote.
                log.error("outbox_item_failed", outbox=self._name, error=type(error).__name__)
                await self._source.failed(item, error)
        return sent


def pause_after(attempts: int, *, first_seconds: float, most_seconds: float) -> timedelta:
    """How long to wait after so many attempts: doubles from the first on, up to the longest, less up to a fifth.

    The jitter keeps what failed together from coming again together.
    """
    longest = min(most_seconds, first_seconds * 2.0 ** min(attempts - 1, MAX_DOUBLINGS))
    return timedelta(seconds=longest * random.uniform(0.8, 1.0))
