"""The rest of a long answer comes after all layers have returned, as one answer for the client."""

from typing import Any

import pytest
from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.http.continuation import go_on, go_on_with
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.calls import calling
from tests.servers import serve

router = APIRouter()
left: list[str] = []


class Slow(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def rest(receive: Receive, send: Send) -> None:
            left.append("rest")
            await send({"type": "http.response.body", "body": b"two", "more_body": False})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        go_on_with(scope, rest)
        left.append("layers")


@router.get("/slow")
async def slow() -> Response:
    """In two parts."""
    answer = Slow(media_type="text/plain")
    del answer.headers["content-length"]
    return answer


async def test_the_client_gets_one_answer() -> None:
    left.clear()
    app = create_service(ServiceSettings(), name="test", description="", routers=[router])
    async with serve(app) as running, calling(running.base_url) as calls:
        answer = await calls.get("/slow")
        assert (answer.status, answer.text) == (200, "one two")
        assert answer.headers["x-request-id"]
        assert left == ["layers", "rest"]
        assert (await calls.get("/health/live")).status == 200


@pytest.mark.parametrize("more", [{}, {"method": "GET", "endpoint": object()}])
async def test_nothing_is_done_where_nothing_is_left_to_do(more: dict[str, Any]) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    scope = {"type": "http", **more}
    await go_on(scope, never, never)
    assert scope == {"type": "http", **more}
