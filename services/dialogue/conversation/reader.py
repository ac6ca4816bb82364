"""The one reader of a process: asks the database for the news of all watched conversations at once.

Wakes come through Redis; the reader finds what was not heard. While Redis is well it looks seldom, for calls that were
lost; while it is away it looks often. Either way it is one query for all, however many customers listen, and never
more than a small share of the process's time.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.dialogue.conversation import repository
from services.dialogue.conversation.notifier import Wakes
from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["Reader"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
LOOK_WITHOUT_REDIS_SECONDS = 0.5
JITTER = 0.25
LONGEST_SHARE = 0.05
"""Of the time, for looking: a database that answers slowly is asked less often."""
ASKED_AT_ONCE = 5000
"""Conversations in one query; databases have a limit on its parameters."""


class Reader:
    """Looks for the news of watched conversations until it is cancelled."""

    def __init__(self, database: Database, wakes: Wakes) -> None:
        self._database = database
        self._wakes = wakes

    async def run(self, beat: Callable[[], None]) -> None:
        """Looks again and again; `beat` is called at every look."""
        while True:
            beat()
            self._wakes.missed.clear()
            began = time.monotonic()
            try:
                await self.look()
            except (SQLAlchemyError, Unavailable) as error:
                log.warning("news_not_read", error=type(error).__name__)
            took = time.monotonic() - began
            usual = LOOK_SECONDS if self._wakes.listening else LOOK_WITHOUT_REDIS_SECONDS
            pause = max(usual, took / LONGEST_SHARE) * random.uniform(1 - JITTER, 1 + JITTER)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, 2 * LOOK_SECONDS)):
                    await self._wakes.missed.wait()

    async def look(self) -> None:
        """Tells those who watch of events that they have not been told of.

        Raises:
            Unavailable: the database does not answer.
        """
        watched = self._wakes.watched()
        for first in range(0, len(watched), ASKED_AT_ONCE):
            async with self._database.reading(ALL_TENANTS) as session:
                found = await repository.last_seqs(session, watched[first : first + ASKED_AT_ONCE])
            for conversation, last_seq in found:
                self._wakes.notice(conversation, last_seq)
