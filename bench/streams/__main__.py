"""Opens idle streams to one dialogue process and measures its memory and its share of a core, with Redis and without.

python -m bench.streams --streams 500 --streams 5000
"""

import argparse
import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil

from cli.ports import free_ports
from cli.process import Process, Program, wait_until
from tests.externals import Redis

__all__ = ["main"]

SECONDS = 30.0
"""How long the idle process is watched; two keep-alives and several looks of its reader fall into it."""
SETTLE_SECONDS = 3.0
OPENED_AT_ONCE = 50
READY_SECONDS = 60.0
MEBIBYTE = 1024 * 1024


class _Listener(asyncio.Protocol):
    """A client that follows a conversation and throws away what it hears."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            if data.startswith(b"HTTP/1.1 200"):
                self.begun.set_result(None)
            else:
                self.begun.set_exception(RuntimeError(data.decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.begun.done():
            self.begun.set_exception(exc or ConnectionError("closed"))


@asynccontextmanager
async def _dialogue(folder: Path, redis_url: str) -> AsyncIterator[tuple[str, int, int]]:
    """A login and a dialogue process: dialogue's address, port and process id."""
    ports = dict(zip(("login", "dialogue"), free_ports(2), strict=True))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ZHIYIN_")}
    environment = inherited | {
        "ZHIYIN_HOME": str(folder),
        "ZHIYIN_REDIS_URL": redis_url,
        "ZHIYIN_REGISTRY": "static",
        "ZHIYIN_STATIC_SERVICES": f'{{"login": "127.0.0.1:{ports["login"]}"}}',
        "ZHIYIN_LOG_LEVEL": "error",
    }
    running: list[Process] = []
    try:
        for name, port in ports.items():

            async def ready(port: int = port) -> bool:
                url = f"http://127.0.0.1:{port}/health/ready"
                try:
                    async with aiohttp.ClientSession() as session, session.get(url) as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            command = (sys.executable, "-m", "shared.http", name)
            own = environment | {"ZHIYIN_PORT": str(port)}
            program = Program(name=name, command=command, environment=own, ready=ready)
            running.append(await Process.start(program, folder / f"{name}.log"))
            if not await wait_until(ready, READY_SECONDS):
                raise RuntimeError((folder / f"{name}.log").read_text(encoding="utf-8"))
        yield f"http://127.0.0.1:{ports['dialogue']}", ports["dialogue"], running[-1].pid
    finally:
        for process in reversed(running):
            await process.kill()


async def _measure(streams: int, *, with_redis: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Redis(folder / "redis") as redis, _dialogue(folder, redis.url) as (url, port, pid):
            async with aiohttp.ClientSession(url) as session:
                async with session.post("/v1/auth/guest", json={}) as answer:
                    token = (await answer.json())["access_token"]
                headers = {"Authorization": f"Bearer {token}"}
                process = psutil.Process(pid)
                empty = process.memory_info().rss
                listeners: list[_Listener] = []
                for first in range(0, streams, OPENED_AT_ONCE):
                    some = range(first, min(streams, first + OPENED_AT_ONCE))
                    listeners += await asyncio.gather(*(_listen(session, headers, port) for _ in some))
            if not with_redis:
                await redis.kill()
            await asyncio.sleep(SETTLE_SECONDS)
            before, asked = process.cpu_times(), asyncio.get_running_loop().time()
            await asyncio.sleep(SECONDS)
            after, passed = process.cpu_times(), asyncio.get_running_loop().time() - asked
            used = after.user + after.system - before.user - before.system
            rss = process.memory_info().rss
            lost = sum(each.lost for each in listeners)
            share, state = used / passed, "well" if with_redis else "away"
            each = (rss - empty) / max(1, streams) / 1024
            sys.stdout.write(
                f"{streams:6} streams, Redis {state}: {share:6.1%} of a core, {rss / MEBIBYTE:5.0f} MB"
                f" ({each:.1f} kB a stream, {empty / MEBIBYTE:.0f} MB without any), {lost} lost\n"
            )
            sys.stdout.flush()


async def _listen(session: aiohttp.ClientSession, headers: dict[str, str], port: int) -> _Listener:
    async with session.post("/v1/conversations", json={"language": "en"}, headers=headers) as answer:
        answer.raise_for_status()
        conversation = (await answer.json())["id"]
    lines = [f"GET /v1/conversations/{conversation}/stream?after=1 HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    _, listener = await asyncio.get_running_loop().create_connection(lambda: _Listener(request), "127.0.0.1", port)
    await listener.begun
    return listener


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each number of streams, with Redis and without."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description="Measures idle streams.")
    parser.add_argument("--streams", type=int, action="append", help="how many; may be given several times")
    streams = parser.parse_args(arguments).streams or [500, 5000]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for number in streams:
        for with_redis in (True, False):
            asyncio.run(_measure(number, with_redis=with_redis))


if __name__ == "__main__":
    main()
