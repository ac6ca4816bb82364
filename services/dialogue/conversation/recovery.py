"""Recovery: finds messages that were accepted and not answered, whatever became of the process that took them.

Those on which no turn has failed and those that are tried again have places of their own, so what always fails never
keeps the others waiting; each is looked for in the order in which it is due.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.failures import repository
from services.dialogue.settings import Settings
from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["Recovery"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
QUEUED = 50
AT_ONCE = 2
"""What was put off must not come before those who talk now."""
MOST_PASSED_OVER = 500

RECOVERED = Counter("zhiyin_turns_recovered_total", "Conversations whose unanswered message was picked up")
DEAD = Gauge("zhiyin_dead_turns_waiting", "Turns that were given up and neither retried nor dismissed")

Find = Callable[[AsyncSession, int], Awaitable[list[tuple[str, str]]]]


class _Lane:
    """Conversations of one sort that are picked up here: a queue with an end, and a few at work."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.queued = 0
        self.places = asyncio.Semaphore(AT_ONCE)

    def done(self, _: "asyncio.Task[Any]") -> None:
        """One of them has left the queue."""
        self.queued -= 1


class Recovery:
    """Has conversations that nobody is at picked up."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        busy: Callable[[], set[str]],
        pick_up: Callable[[str, str, asyncio.Semaphore], "asyncio.Task[Any]"],
    ) -> None:
        """
        Args:
            busy: the conversations that this process is at, or has in line.
            pick_up: answers what waits in a conversation (tenant, id) as soon as there is a place.
        """
        self._settings = settings
        self._database = database
        self._busy = busy
        self._pick_up = pick_up
        self._lanes = (_Lane(self._forgotten), _Lane(self._to_be_retried))

    async def run(self, beat: Callable[[], None]) -> None:
        """Looks until it is cancelled; `beat` is called at every look."""
        while True:
            beat()
            try:
                await self.look()
            except (SQLAlchemyError, Unavailable) as error:
                log.warning("recovery_failed", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Picks up what is due, as far as there is room in the queues.

        Raises:
            Unavailable: the database does not answer.
        """
        # A conversation that is in line here already gains nothing from a second place, and hides no other.
        busy = self._busy()
        async with self._database.reading(ALL_TENANTS) as session:
            DEAD.set(await repository.count_dead_turns(session))
            found = [
                await lane.find(session, QUEUED - lane.queued + min(len(busy), MOST_PASSED_OVER))
                for lane in self._lanes
                if lane.queued < QUEUED
            ]
        for lane, conversations in zip((each for each in self._lanes if each.queued < QUEUED), found, strict=True):
            free = [each for each in conversations if each[1] not in busy][: QUEUED - lane.queued]
            if free:
                RECOVERED.inc(len(free))
                log.info("recovering", conversations=len(free))
            for tenant, conversation_id in free:
                lane.queued += 1
                work = self._pick_up(tenant, conversation_id, lane.places)
                work.add_done_callback(lane.done)

    async def _forgotten(self, session: AsyncSession, limit: int) -> list[tuple[str, str]]:
        before = now() - timedelta(seconds=self._settings.recover_after_seconds)
        return await repository.forgotten(session, before, limit)

    async def _to_be_retried(self, session: AsyncSession, limit: int) -> list[tuple[str, str]]:
        return await repository.to_be_retried(session, now(), limit)
