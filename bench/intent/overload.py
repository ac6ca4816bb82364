"""Load in an open loop: requests come when they come, however slow the answers are.

Run as `python -m bench.intent.overload PORT PATH BODIES TOKEN RATE SECONDS`; writes one line of JSON. Arrivals are a
Poisson process; a latency counts from the moment at which the request was due. A client waits for its answer and is
then free for another; there are as many clients as are needed at a time.
"""

import asyncio
import json
import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import uvloop

__all__ = ["main"]

SEED = 4
WARM_SECONDS = 1.0
LATE_SECONDS = 15.0
MOST_CLIENTS = 4000


class Client(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._buffer = b""
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, due: float) -> None:
        """Sends a request that was due at a moment of the loop's clock."""
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._due is None:
            return
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        if len(body) < length:
            return
        self._buffer, due, self._due = b"", self._due, None
        self._crowd.answered(self, int(head[9:12]), due)

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.lost(self, broken=self._due is not None)

    def close(self) -> None:
        """Hangs up."""
        self.transport.close()


class Crowd:
    """All clients, and what they were answered."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._requests = requests
        self._idle: list[Client] = []
        self._sent = 0
        self.clients = 0
        self.waiting = 0
        self.broken = 0
        self._changed = asyncio.Event()
        self.answers: list[tuple[float, float, int]] = []
        """Due, latency in seconds and status of each."""

    async def ask(self, due: float) -> None:
        """Sends the next request."""
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        self.waiting += 1
        while self._idle:
            client = self._idle.pop()
            if not client.transport.is_closing():
                client.ask(request, due)
                return
        if self.clients >= MOST_CLIENTS:
            self.waiting -= 1
            self.broken += 1
            return
        self.clients += 1
        try:
            _, client = await self._loop.create_connection(lambda: Client(self), "127.0.0.1", self._port)
        except OSError:
            self.waiting -= 1
            self.broken += 1
            return
        client.ask(request, due)

    async def all_answered(self) -> None:
        """Returns when nobody waits any more."""
        while self.waiting:
            self._changed.clear()
            await self._changed.wait()

    def answered(self, client: Client, status: int, due: float) -> None:
        """Notes an answer; the client is free again."""
        self.waiting -= 1
        self.answers.append((due, self._loop.time() - due, status))
        self._idle.append(client)
        self._changed.set()

    def lost(self, client: Client, *, broken: bool) -> None:
        """Notes a connection that ended."""
        self.clients -= 1
        self._changed.set()
        if broken:
            self.waiting -= 1
            self.broken += 1
        if client in self._idle:
            self._idle.remove(client)


async def run(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Asks at a rate; the first moments, in which the queue fills, do not count."""
    loop = asyncio.get_running_loop()
    crowd, chance = Crowd(port, requests), random.Random(SEED)
    begun = due = loop.time()
    lag = 0.0
    tasks: set[asyncio.Task[None]] = set()
    while due < begun + WARM_SECONDS + seconds:
        due += chance.expovariate(rate)
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        lag = max(lag, loop.time() - due)
        task = loop.create_task(crowd.ask(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_SECONDS):
            await crowd.all_answered()
    first = begun + WARM_SECONDS
    good = sorted(took for at, took, status in crowd.answers if status == 200)
    refused = sorted(took for at, took, status in crowd.answers if status in (429, 503) and at >= first)
    counted = sum(1 for at, took, status in crowd.answers if status == 200 and first <= at + took < first + seconds)
    return {
        "asked_per_second": sum(1 for at, _, _ in crowd.answers if at >= first) / seconds,
        "good_per_second": counted / seconds,
        "good_p50": _cut(good, 50),
        "good_p99": _cut(good, 99),
        "refused": len(refused),
        "refused_p50": _cut(refused, 50),
        "refused_p99": _cut(refused, 99),
        "other": sum(1 for _, _, status in crowd.answers if status not in (200, 429, 503)) + crowd.broken,
        "generator_lag": lag * 1000,
    }


def _cut(seconds: Sequence[float], percent: int) -> float:
    if len(seconds) < 2:
        return 0.0
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000


def main() -> None:
    """Measures and writes; latencies in milliseconds."""
    port, path, bodies, token, rate, seconds = sys.argv[1:]
    requests = []
    for line in Path(bodies).read_bytes().splitlines():
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(line)}\r\n\r\n"
        )
        requests.append(head.encode() + line)
    found = uvloop.run(run(int(port), requests, float(rate), float(seconds)))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
