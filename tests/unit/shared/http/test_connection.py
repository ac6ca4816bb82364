"""What hostile and unusual clients send through sockets of their own, to a process and to a service in the test."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from shared.http.__main__ import end
from shared.http.connection import RESERVED
from shared.http.server import server_of
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.servers import free_port
from tests.stack import eventually
from tests.unit.shared.http.processes import running

SECONDS = 20.0
"""By when what must happen has happened."""
HEADERS, BODY = 0.5, 1.0
"""The time limits of the services here, in seconds."""
MANY = 6
LIMIT = 4096
HOST = b"Host: shop.example\r\n"


@dataclass(frozen=True)
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document; it must be one."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        assert document["detail"]
        return document


class Client:
    """A connection on which anything can be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Sends this; that the other side does not listen any more is no error."""
        try:
            self._writer.write(b"".join(parts))
            await self._writer.drain()
        except ConnectionError:
            pass

    async def answer(self, *, head: bool = False) -> Answer:
        """The next answer, whole."""
        async with asyncio.timeout(SECONDS):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            length = 0 if head else int(headers.get("content-length", 0))
            return Answer(int(lines[0].split()[1]), headers, await self._reader.readexactly(length))

    async def asked(self, *parts: bytes) -> Answer:
        """What is answered to this."""
        await self.send(*parts)
        return await self.answer()

    async def until_closed(self) -> bytes:
        """What came until the other side closed the connection."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        """Hangs up."""
        self._writer.close()


@dataclass(frozen=True)
class Server:
    """A service that listens."""

    port: int

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A new connection."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            await client.close()

    async def healthy(self) -> bool:
        """Whether it answers a health check."""
        try:
            async with self.client() as client:
                answer = await client.asked(b"GET /health/live HTTP/1.1\r\n", HOST, b"\r\n")
                return answer.status == 200
        except (ConnectionError, asyncio.IncompleteReadError):
            return False


@asynccontextmanager
async def login(folder: Path, **settings: object) -> AsyncIterator[Server]:
    """The login service as a process."""
    server = Server(free_port())
    limits = {"header_seconds": HEADERS, "body_seconds": BODY, "max_header_bytes": LIMIT, "log_level": "error"}
    given = {name: str(value) for name, value in {**limits, "port": server.port, **settings}.items()}
    async with running("login", folder, **given):
        await eventually(server.healthy, what="a health check")
        yield server


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A process shared by tests that leave it as they found it."""
    async with login(tmp_path_factory.mktemp("login")) as running_login:
        yield running_login


router = APIRouter()


@router.get("/slow")
async def slow(request: Request) -> str:
    """Answers once it is told to."""
    gate: asyncio.Event = request.app.state.gate
    await gate.wait()
    return "slow"


@router.get("/ticks")
async def ticks(request: Request) -> StreamingResponse:
    """A stream that goes on until it is told to end."""
    gate: asyncio.Event = request.app.state.gate

    async def lines() -> AsyncIterator[bytes]:
        yield b"first\n"
        await gate.wait()
        yield b"last\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@router.post("/take")
async def take(request: Request) -> int:
    """How long the body is."""
    return len(await request.body())


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Server, asyncio.Event]]:
    """A small service in the test's own loop, and what its slow answers wait for."""
    limits = {"header_seconds": HEADERS, "body_seconds": BODY, "max_header_bytes": LIMIT}
    settings = ServiceSettings(port=free_port(), stop_seconds=1, drain_seconds=0, log_level="error", **limits)  # type: ignore[arg-type]
    app = create_service(settings, name="shop", description="", routers=[router])
    gate = app.state.gate = asyncio.Event()
    serving = server_of(app, "shop", before_start=end)
    task = asyncio.create_task(serving.serve())
    found = Server(settings.port)
    await eventually(lambda: _listens(found), what="the shop")
    yield found, gate
    gate.set()
    serving.should_exit = True
    await task


async def _listens(server: Server) -> bool:
    try:
        return await server.healthy()
    except OSError:
        return False


@pytest.mark.parametrize(
    "request_line_and_headers",
    [
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 3_000_000 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: " + b"a" * LIMIT + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(LIMIT // 8)) + b"\r\n",
        b"GET /health/live?" + b"a" * LIMIT + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health/live HTTP/1.1\r\n" + b"N" * LIMIT + b": a\r\n" + HOST + b"\r\n",
        b"\r\n" * LIMIT + b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
    ids=["3 MB", "one", "many", "address", "name", "blank lines"],
)
async def test_headers_have_a_limit(server: Server, request_line_and_headers: bytes) -> None:
    async with server.client() as client:
        answer = await client.asked(request_line_and_headers)
        assert answer.status == 431
        assert answer.problem["detail"] == f"the request line and the headers may have {LIMIT} bytes at most"
        assert answer.problem["errors"] == []
        assert answer.headers["connection"] == "close"
        assert await client.until_closed() == b""
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
    assert await server.healthy()


async def test_headers_below_the_limit_pass_however_they_are_cut(server: Server) -> None:
    whole = b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: " + b"a" * (LIMIT - 100) + b"\r\n\r\n"
    generator = random.Random(7)
    for _ in range(5):
        cuts = sorted(generator.sample(range(1, len(whole)), 3))
        async with server.client() as client:
            for begin, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                await client.send(whole[begin:stop])
                await asyncio.sleep(0)
            assert (await client.answer()).status == 200


async def test_a_body_larger_than_the_headers_may_be_passes(shop: tuple[Server, asyncio.Event]) -> None:
    async with shop[0].client() as client:
        for size in (10, LIMIT * 3, 700_000):
            head = b"POST /take HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size
            assert (await client.asked(head, b"x" * size)).body == b"%d" % size
            chunks = b"".join(b"1\r\nx\r\n" for _ in range(100)) + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
            head = b"POST /take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
            assert (await client.asked(head, chunks)).body == b"%d" % (size + 100)


@pytest.mark.parametrize(
    "chunks", [b"0\r\nX-Trailer: " + b"a" * 200_000 + b"\r\n\r\n", b"1;" + b"e" * 200_000 + b"\r\nx\r\n0\r\n\r\n"]
)
async def test_a_body_is_not_framing_alone(shop: tuple[Server, asyncio.Event], chunks: bytes) -> None:
    async with shop[0].client() as client:
        await client.send(b"POST /take HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\n")
        for place in range(0, len(chunks), 10_000):
            await client.send(chunks[place : place + 10_000])
            await asyncio.sleep(0)
        assert (await client.answer()).status == 400


async def test_who_says_nothing_is_hung_up_on(server: Server) -> None:
    async with server.client() as client:
        assert await client.until_closed() == b""


@pytest.mark.parametrize("before", [b"", b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"])
async def test_headers_have_a_time_limit(server: Server, before: bytes) -> None:
    async with server.client() as client:
        if before:
            assert (await client.asked(before)).status == 200
        await client.send(b"GET /health/live HTTP/1.1\r\n")
        dripping = asyncio.create_task(_drip(client))
        answer = await client.answer()
        assert (answer.status, answer.problem["detail"]) == (408, "the headers did not come in time")
        assert await client.until_closed() == b""
        dripping.cancel()


async def _drip(client: Client) -> None:
    while True:
        await client.send(b"X: a\r\n")
        await asyncio.sleep(HEADERS / 10)


@pytest.mark.parametrize("length", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", [b"/v1/refresh", b"/v1/nothing", b"/v1/me"])
async def test_a_body_has_a_time_limit(server: Server, path: bytes, length: bytes) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + length + b"\r\n\r\n"
    async with server.client() as client:
        await client.send(head, b"2\r\n{ \r\n" if b"chunked" in length else b"{ ")
        answer = await client.answer()
        assert answer.status == (408 if path == b"/v1/refresh" else 404 if path == b"/v1/nothing" else 405)
        assert answer.problem
        assert await client.until_closed() == b""


async def _time_limit_passed(server: Server) -> None:
    """Another connection that says nothing is over by now."""
    async with server.client() as client:
        assert await client.until_closed() == b""


async def test_an_idle_connection_may_be_used_again_after_the_time_for_headers(server: Server) -> None:
    async with server.client() as client:
        for _ in range(2):
            assert (await client.asked(b"GET /health/live HTTP/1.1\r\n", HOST, b"\r\n")).status == 200
            await _time_limit_passed(server)


async def test_streams_and_slow_answers_are_not_timed(shop: tuple[Server, asyncio.Event]) -> None:
    running_shop, gate = shop
    async with running_shop.client() as stream, running_shop.client() as client:
        await stream.send(b"GET /ticks HTTP/1.1\r\n", HOST, b"\r\n")
        # Of the second request, only a part is here before the first one is answered.
        await client.send(b"GET /slow HTTP/1.1\r\n", HOST, b"\r\nGET /health/live HTTP/1.1\r\n")
        for _ in range(3):
            await _time_limit_passed(running_shop)
        gate.set()
        assert b"last" in await stream._reader.readuntil(b"last\n")
        assert (await client.answer()).body == b'"slow"'
        assert (await client.asked(HOST, b"\r\n")).status == 200


async def test_requests_behind_one_another_are_answered_in_order_and_a_bad_one_ends_it(
    shop: tuple[Server, asyncio.Event],
) -> None:
    running_shop, gate = shop
    async with running_shop.client() as client:
        await client.send(
            b"GET /slow HTTP/1.1\r\n", HOST, b"\r\nGET /health/live HTTP/1.1\r\n", HOST, b"\r\nGET / HTTP/1.1\r\n\r\n"
        )
        gate.set()
        assert (await client.answer()).body == b'"slow"'
        assert (await client.answer()).body == b'{"status":"alive"}'
        assert await client.until_closed() == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Host: other.example\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a,b@c\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
        (b"GET http://shop.example/health/live HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET /health/%6Cive HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET /health/%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/% HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/%ff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/%ED%A0%80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/live?a=%c3%28 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/\xe4\xbd\xa0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET health/live HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"CONNECT shop.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"TRACE /health/live HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"BREW /health/live HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc", 400),
        (
            b"POST /v1/guest HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST /v1/guest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST /v1/guest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (b"POST /v1/guest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /v1/guest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Expect: a-miracle\r\n\r\n", 417),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
async def test_it_is_http_as_the_standard_says(server: Server, request_bytes: bytes, status: int) -> None:
    async with server.client() as client:
        answer = await client.asked(request_bytes)
        assert answer.status == status
        if status != 200:
            assert answer.problem
        if status in (400, 417):
            assert await client.until_closed() == b"", (
                "what comes behind a request that is not understood is no request"
            )
    assert await server.healthy()


async def test_nothing_is_smuggled_behind_a_refused_request(server: Server) -> None:
    hidden = b"GET /health/ready HTTP/1.1\r\n" + HOST + b"\r\n"
    async with server.client() as client:
        answer = await client.asked(
            b"POST /v1/guest HTTP/1.1\r\n",
            HOST,
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            hidden,
        )
        assert answer.status == 400
        assert await client.until_closed() == b""


async def test_a_body_is_asked_for_where_the_client_waits_for_that(server: Server) -> None:
    head = b"POST /v1/refresh HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nExpect: 100-Continue\r\n"
    async with server.client() as client:
        assert (await client.asked(head, b"Content-Length: 2\r\n\r\n")).status == 100
        assert (await client.asked(b"{}")).status == 422
    async with server.client() as client:
        assert (await client.asked(head, b"Content-Length: 2000000\r\n\r\n")).status == 413


async def test_connections_have_a_limit_and_health_checks_pass_it(tmp_path: Path) -> None:
    async with login(tmp_path, max_connections=MANY, header_seconds=SECONDS * 3) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MANY)]
        async with server.client() as client:
            answer = await client.asked(b"GET /v1/me HTTP/1.1\r\n", HOST, b"\r\n")
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.problem["detail"] == "too many connections are open; try again"
        async with server.client() as client:
            answer = await client.asked(b"GET /health/live HTTP/1.1\r\n", HOST, b"\r\n")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.until_closed() == b""
        held += [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(RESERVED)]

        async def refused_at_once() -> bool:
            async with server.client() as client:
                return (await client.until_closed()).startswith(b"HTTP/1.1 503 ")

        await eventually(refused_at_once, what="a refusal at once")
        for _, writer in held:
            writer.close()
        await eventually(server.healthy, what="health")

        async def served() -> bool:
            async with server.client() as client:
                return (await client.asked(b"GET /v1/me HTTP/1.1\r\n", HOST, b"\r\n")).status == 401

        await eventually(served, what="a place for a client")
