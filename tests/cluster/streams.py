"""Customers' open streams: server-sent events that are resumed with `Last-Event-ID` wherever they are cut."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.cluster.load import Guest
from tests.cluster.transcripts import Event, gaps
from tests.stack import eventually

__all__ = ["Follower", "following"]

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 45.0
"""Longer than the service is ever silent."""


@dataclass
class Follower:
    """Reads a conversation's stream for ever."""

    guest: Guest
    events: list[Event] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)
    """Seconds from each cut to the stream's being open again."""
    refused: list[str] = field(default_factory=list)
    connected: bool = False
    retry_seconds: float = 1.0

    @property
    def last(self) -> int:
        """The `seq` of the last event."""
        return int(self.events[-1]["seq"]) if self.events else 0

    async def follow(self) -> None:
        """Reads; comes back after every cut with the last id that it has seen."""
        cut_at: float | None = None
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        while True:
            headers = {"Authorization": f"Bearer {self.guest.token}", "Last-Event-ID": str(self.last)}
            path = f"/v1/conversations/{self.guest.conversation}/stream"
            try:
                async with self.guest.session.get(path, headers=headers, timeout=timeout) as response:
                    if response.status == 200:
                        if cut_at is not None:
                            self.resumed.append(time.monotonic() - cut_at)
                        self.connected, cut_at = True, None
                        await self._read(response)
                    else:
                        self.refused.append(f"{response.status} {await response.text()}")
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                if cut_at is not None:
                    self.refused.append(f"{type(error).__name__}: {error}")
            self.connected = False
            cut_at = cut_at or time.monotonic()
            await asyncio.sleep(self.retry_seconds)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        async for line in response.content:
            if line.startswith(b"retry: "):
                self.retry_seconds = int(line.removeprefix(b"retry: ")) / 1000
            elif line.startswith(b"data: {") and b'"seq"' in line:
                self.events.append(json.loads(line.removeprefix(b"data: ")))

    async def until(self, seq: int, seconds: float = 30.0) -> None:
        """Waits until the event with this `seq` has come."""

        async def look() -> bool:
            return self.last >= seq

        await eventually(look, seconds, what=f"seq {seq} in the stream, which is at {self.last},")

    def gapless(self) -> None:
        """Every event came once and in order."""
        assert not gaps([event["seq"] for event in self.events])


@asynccontextmanager
async def following(url: str, count: int) -> AsyncIterator[list[Follower]]:
    """`count` guests, each with an open stream."""
    followers: list[Follower] = []
    readers: list[asyncio.Task[None]] = []
    try:
        for _ in range(count):
            session = aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=30), read_bufsize=2**20)
            followers.append(Follower(Guest(session)))
        await asyncio.gather(*(follower.guest.enter([]) for follower in followers))
        readers = [asyncio.create_task(follower.follow()) for follower in followers]

        async def open_all() -> bool:
            return all(follower.connected and follower.events for follower in followers)

        await eventually(open_all, what="every stream")
        yield followers
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for follower in followers:
            await follower.guest.session.close()
