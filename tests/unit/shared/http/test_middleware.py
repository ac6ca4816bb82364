"""What happens to every request: ids, limits, deadlines, metrics."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from shared.errors import NotFound
from shared.http.middleware import deadline_of
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import RunningServer, serve

LIMIT = 1000

router = APIRouter()


class Text(BaseModel):
    text: str


@router.post("/texts/{name}")
async def length(name: str, body: Text) -> int:
    """How long the text is."""
    return len(body.text)


@router.post("/texts/large/{name}")
async def large_length(name: str, body: Text) -> int:
    """How long a text is that may be longer."""
    return len(body.text)


@router.post("/raw")
async def raw(request: Request) -> int:
    """How long the body is, read as it comes."""
    return sum([len(chunk) async for chunk in request.stream()])


@router.get("/deadline")
async def deadline(request: Request) -> float:
    """How many seconds are left."""
    return deadline_of(request, 5.0) - asyncio.get_running_loop().time()


@router.get("/missing")
async def missing() -> None:
    """Nothing is there."""
    raise NotFound("nothing of that name")


@router.get("/broken")
async def broken() -> None:
    """A mistake of ours."""
    raise RuntimeError("the password is hunter2")


@router.get("/half")
async def half() -> StreamingResponse:
    """Breaks when half of it was said."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("broken")

    return StreamingResponse(chunks(), media_type="text/plain")


@router.get("/stream")
async def stream() -> StreamingResponse:
    """Three lines."""

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"{number}\n".encode()

    return StreamingResponse(chunks(), media_type="text/plain")


async def no_keys() -> dict[str, Any]:
    return {"keys": []}


def application() -> FastAPI:
    settings = ServiceSettings(log_level="error", max_body_bytes=LIMIT)
    large = {"/texts/large/": 2 * LIMIT}
    return create_service(settings, name="echo", description="", routers=[router], jwks=no_keys, large_bodies=large)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with serve(application()) as server:
        yield server


@pytest.fixture(scope="module")
async def service(server: RunningServer) -> AsyncIterator[Calls]:
    async with calling(server.base_url) as calls:
        yield calls


@pytest.mark.parametrize("path", ["/stream", "/missing", "/broken", "/no/such/path"])
async def test_an_answer_has_the_id_that_the_caller_gave(service: Calls, path: str) -> None:
    answer = await service.get(path, headers={"X-Request-ID": "abc-123_x.y"})
    assert answer.headers["X-Request-ID"] == "abc-123_x.y"
    if answer.status >= 400:
        assert answer.body["request_id"] == "abc-123_x.y"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "<script>", "né"])
async def test_an_id_that_is_no_id_is_replaced(service: Calls, given: str) -> None:
    answer = await service.get("/missing", headers={"X-Request-ID": given})
    made = answer.headers["X-Request-ID"]
    assert made != given
    assert made == answer.body["request_id"]
    assert made != (await service.get("/missing")).headers["X-Request-ID"]


def sized(total: int) -> bytes:
    frame = len(json.dumps({"text": ""}))
    return json.dumps({"text": "x" * (total - frame)}).encode()


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100):
        yield body[start : start + 100]


@pytest.mark.parametrize("path", ["/texts/a", "/raw"])
@pytest.mark.parametrize("streamed", [False, True], ids=["with its length", "in chunks"])
async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(service: Calls, path: str, streamed: bool) -> None:
    for total, status in ((LIMIT, 200), (LIMIT + 1, 413), (LIMIT * 50, 413)):
        body = sized(total)
        answer = await service.post(path, data=chunks(body) if streamed else body)
        assert answer.status == status, answer.text
        if status == 413:
            assert answer.content_type == "application/problem+json"
            assert answer.body["type"] == "urn:zhiyin:problem:too-large"
            assert answer.headers["X-Request-ID"] == answer.body["request_id"]


@pytest.mark.parametrize("streamed", [False, True], ids=["with its length", "in chunks"])
async def test_a_path_may_have_a_limit_of_its_own(service: Calls, streamed: bool) -> None:
    for total, status in ((2 * LIMIT, 200), (2 * LIMIT + 1, 413)):
        body = sized(total)
        answer = await service.post("/texts/large/a", data=chunks(body) if streamed else body)
        assert answer.status == status, answer.text


async def test_a_mistake_of_ours_is_a_500_that_tells_nothing(service: Calls) -> None:
    answer = await service.get("/broken")
    assert answer.status == 500
    assert answer.content_type == "application/problem+json"
    assert answer.body["type"] == "urn:zhiyin:problem:internal-error"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    assert (await service.get("/stream")).status == 200, "the connection and the service go on"


async def test_an_answer_that_breaks_in_the_middle_looks_broken(service: Calls) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await service.get("/half")


async def test_a_stream_passes_untouched(service: Calls) -> None:
    assert (await service.get("/stream")).text == "0\n1\n2\n"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("2.5", 2.5), ("0", 0), ("60", 60), ("61", 5), ("-1", 5), ("nan", 5), ("inf", 5), ("soon", 5), ("", 5)],
)
async def test_the_callers_deadline_holds_if_it_makes_sense(service: Calls, given: str, seconds: float) -> None:
    left = (await service.get("/deadline", headers={"X-Deadline-Seconds": given})).body
    assert seconds - 1 < left <= seconds


async def test_without_a_deadline_the_routes_own_holds(service: Calls) -> None:
    assert 4 < (await service.get("/deadline")).body <= 5


async def test_requests_are_counted_by_route_and_not_by_path(service: Calls) -> None:
    for name in ("a", "b", "c"):
        await service.post(f"/texts/{name}", json={"text": "x"})
    await service.get("/no/such/path")
    await service.send("PROPFIND", "/stream")
    metrics = (await service.get("/metrics")).text
    counted = [line for line in metrics.splitlines() if line.startswith("zhiyin_http_requests_total")]
    echo = [line for line in counted if 'service="echo"' in line]
    assert any('method="POST",route="/texts/{name}"' in line and 'status="200"' in line for line in echo)
    assert any('method="GET",route="unmatched"' in line and 'status="404"' in line for line in echo)
    assert any('method="OTHER"' in line and 'status="405"' in line for line in echo)
    assert "/texts/a" not in metrics
    assert "/no/such/path" not in metrics


async def test_a_websocket_is_left_alone() -> None:
    app = application()

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    async with (
        serve(app) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.base_url}/ws") as ws,
    ):
        assert (await ws.receive()).data == "hello"
