"""What services follow, for those who wait for news of it: one look at SQL a second for all of them."""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.learning import repository
from shared.contracts.releases import Following
from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["Changes"]

log = structlog.get_logger(__name__)

SLICE_SECONDS = 1.0


class Changes:
    """Counts what other replicas and this one have changed, and wakes those who wait."""

    def __init__(self, database: Database, identity: str, *, look_seconds: float, stopping: asyncio.Event) -> None:
        """Args:
        identity: tells the counts of this database from those of another one.
        """
        self._database = database
        self._identity = identity
        self._seconds = look_seconds
        self._stopping = stopping
        self._number = -1
        self._news = asyncio.Condition()
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Has it looked at once; for whoever has changed something here."""
        self._kicked.set()

    async def run(self, beat: Callable[[], None]) -> None:
        """Looks until it is cancelled."""
        while True:
            beat()
            self._kicked.clear()
            try:
                async with self._database.reading(ALL_TENANTS) as session:
                    number = await repository.following_number(session)
            except (SQLAlchemyError, Unavailable) as error:
                log.warning("changes_not_read", error=type(error).__name__)
            else:
                if number != self._number:
                    async with self._news:
                        self._number = number
                        self._news.notify_all()
            try:
                async with asyncio.timeout(self._seconds):
                    await self._kicked.wait()
            except TimeoutError:
                pass

    async def following(self, tenant: str, after: str, seconds: float) -> Following:
        """What there is to follow, at once if it is not what `after` was about, else when it changes or time is up.

        Args:
            tenant: whose releases; `ALL_TENANTS` for services.
        """
        number, found = await self._read(tenant)
        if found.cursor != after or not seconds:
            return found
        await self._wait(number, seconds)
        return (await self._read(tenant))[1]

    async def _read(self, tenant: str) -> tuple[int, Following]:
        async with self._database.reading(tenant) as session:
            # Read before the rest: what changes in between is told again, and never left out.
            number = await repository.following_number(session)
            return number, Following(
                cursor=f"{self._identity}-{number}",
                aliases=await repository.every_alias(session),
                proving=await repository.proving(session),
            )

    async def _wait(self, number: int, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        async with self._news:
            while self._number <= number and not self._stopping.is_set():
                left = until - asyncio.get_running_loop().time()
                if left <= 0:
                    return
                try:
                    async with asyncio.timeout(min(left, SLICE_SECONDS)):
                        await self._news.wait()
                except TimeoutError:
                    continue
