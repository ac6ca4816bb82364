"""Sessions that ended before their access tokens did: read from login every few seconds, remembered until those expire.

Tokens are verified without asking login, so somebody has to say which of them are no good any more. Login's list is
read from its database, not from a cache, and read whole now and then, so that nothing is missed for long. While login
is away tokens are taken for what they are until they expire, which bounds what a lost answer can do.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from shared.errors import ZhiyinError
from shared.http.health import Health

__all__ = ["Revocations"]

log = structlog.get_logger(__name__)

OVERLAP_SECONDS = 30.0
"""How long before the last answer the next one begins: a session may be told as ended a moment ago when the commit that
ends it comes later."""
WHOLE_SECONDS = 60.0
"""After so long everything that matters is asked for again."""
BEATS_MISSED = 10

Fetch = Callable[[float], Awaitable[Mapping[str, Any]]]
"""What login answers about sessions that were ended since a moment (seconds since 1970)."""


class Revocations:
    """The sessions whose tokens are refused."""

    def __init__(self, fetch: Fetch, *, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._period = period
        self._clock = clock
        self._until: dict[str, float] = {}
        self._wanted = asyncio.Event()
        self._read_to = 0.0
        self._whole_at = float("-inf")
        self._away = False

    def cover(self, session: str | None) -> bool:
        """Whether the session was ended; from the first question on the list is kept up to date."""
        if session is None:
            return False
        self._wanted.set()
        return session in self._until

    async def read(self) -> None:
        """Asks login once; when it does not answer, what is known stays."""
        moment = self._clock()
        whole = moment - self._whole_at >= WHOLE_SECONDS
        try:
            answer = await self._fetch(0.0 if whole else max(0.0, self._read_to - OVERLAP_SECONDS))
            kept = moment + float(answer["kept_seconds"])
            ended = [str(each) for each in answer["sessions"]]
            self._read_to = float(answer["now"])
        except (ZhiyinError, ValueError, TypeError, KeyError) as error:
            if not self._away:
                log.warning("revocations_not_read", error=type(error).__name__)
            self._away = True
            return
        self._away = False
        if whole:
            self._whole_at = moment
        for session in ended:
            self._until[session] = kept
        self._until = {session: until for session, until in self._until.items() if until > moment}

    async def follow(self, health: Health) -> None:
        """Reads on for ever, once somebody has asked."""
        await self._wanted.wait()
        while True:
            health.beat("revocations", max_age=BEATS_MISSED * self._period + 30)
            await self.read()
            await asyncio.sleep(self._period)
