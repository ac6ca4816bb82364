"""Headers of every answer, and HEAD."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from shared.http.auth import CurrentPrincipal
from shared.http.fast_path import DirectRequest, DirectRoute
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import serve
from tests.tokens import TokenFactory

TOKENS = TokenFactory(audience="shop")
STANDING = {
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter()


class Greeting(BaseModel):
    text: str


@router.post("/greeting")
async def greeting(_principal: CurrentPrincipal) -> Greeting:
    """A greeting."""
    return Greeting(text="slow")


async def directly(_request: DirectRequest) -> Greeting:
    """The same."""
    return Greeting(text="fast")


@router.get("/boom")
async def boom() -> None:
    """Fails."""
    raise RuntimeError("boom")


@router.get("/public")
async def public(response: Response) -> str:
    """Says itself how long it may be kept and what it may run."""
    response.headers["Cache-Control"] = "public, max-age=60"
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return "x"


@router.get("/stream")
async def stream() -> StreamingResponse:
    """Never ends by itself."""

    async def lines() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(lines(), media_type="text/event-stream")


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Calls]:
    direct = [DirectRoute("/greeting", directly, anyone=True)]
    settings = ServiceSettings(log_level="error", max_header_bytes=2048)
    app = create_service(settings, name="shop", description="", routers=[router], direct=direct, jwks=TOKENS.fetch)
    async with serve(app) as server, calling(server.base_url) as calls:
        yield calls


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/health/live", 405),
        ("OPTIONS", "/health/live", 204),
        ("POST", "/greeting", 401),
        ("GET", "/boom", 500),
        ("GET", "/?" + "a" * 3000, 431),
    ],
)
async def test_every_answer_says_what_browsers_may_do_with_it(
    service: Calls, method: str, path: str, status: int
) -> None:
    answer = await service.send(method, path, headers={"X-Forwarded-Proto": "http"})
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in STANDING} == STANDING
    assert "Server" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers
    if status != 431:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; frame-ancestors 'none'")


@pytest.mark.parametrize("encoding", [{}, {"Content-Type": "text/plain"}], ids=["fast", "ordinary"])
async def test_the_fast_way_too(service: Calls, encoding: dict[str, str]) -> None:
    token = TOKENS.issue()
    await service.post("/greeting", data=b"{}", token=token)
    answer = await service.post("/greeting", data=b"{}", token=token, headers=encoding)
    assert answer.body == {"text": "slow" if encoding else "fast"}
    assert {name: answer.headers.get(name) for name in STANDING} == STANDING


async def test_an_answers_own_headers_count_first(service: Calls) -> None:
    answer = await service.get("/public")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"


async def test_a_stream_has_them_from_its_begin(service: Calls) -> None:
    async with service.session.get("/stream") as response:
        assert await response.content.readline() == b"data: 1\n"
        assert {name: response.headers.get(name) for name in STANDING} == STANDING


async def test_who_came_by_tls_stays_with_it() -> None:
    app = create_service(ServiceSettings(log_level="error"), name="shop", description="", routers=[])
    off = create_service(ServiceSettings(log_level="error", hsts_seconds=0), name="shop", description="", routers=[])
    forwarded = {"X-Forwarded-Proto": "https"}
    async with serve(app) as server, calling(server.base_url) as calls:
        answer = await calls.get("/health/live", headers=forwarded)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    async with serve(off) as server, calling(server.base_url) as calls:
        assert "Strict-Transport-Security" not in (await calls.get("/health/live", headers=forwarded)).headers


@pytest.mark.parametrize("path", ["/health/live", "/public", "/stream", "/openapi.json", "/nowhere", "/boom"])
async def test_head_is_get_without_the_body(service: Calls, path: str) -> None:
    async with service.session.get(path) as got:
        pass
    head = await service.send("HEAD", path)
    assert (head.status, head.text) == (got.status, "")
    changing = {"Date", "X-Request-ID", "Transfer-Encoding"}
    assert {name: each for name, each in head.headers.items() if name not in changing} == {
        name: each for name, each in got.headers.items() if name not in changing
    }


async def test_there_is_no_head_where_there_is_no_get(service: Calls) -> None:
    answer = await service.send("HEAD", "/greeting")
    assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")
