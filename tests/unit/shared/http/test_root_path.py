"""A service below a path."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from shared.http.root_path import RootPath


async def echo(request: Request) -> JSONResponse:
    return JSONResponse([request.url.path, request.scope["raw_path"].decode(), request.url.query])


async def speak(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.url.path)
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[WebSocketRoute("/socket", speak), Route("/{rest:path}", echo)])
    return TestClient(RootPath(app, "/help/chat"), follow_redirects=False)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("/help/chat/", "/"),
        ("/help/chat/v1/things", "/v1/things"),
        ("/help/chat/help/chat/x", "/help/chat/x"),
        ("/v1/things", "/v1/things"),
        ("/health/ready", "/health/ready"),
        ("/help/chatter", "/help/chatter"),
        ("/help", "/help"),
        ("/", "/"),
    ],
)
def test_the_path_that_it_is_below_is_taken_away(client: TestClient, asked: str, served: str) -> None:
    assert client.get(f"{asked}?a=1").json() == [served, served, "a=1"]


def test_what_is_encoded_stays_encoded(client: TestClient) -> None:
    assert client.get("/help/chat/v1/%E4%BD%A0%2F").json() == ["/v1/你/", "/v1/%E4%BD%A0%2F", ""]


def test_the_path_alone_leads_to_the_page(client: TestClient) -> None:
    answer = client.get("/help/chat")
    assert (answer.status_code, answer.headers["location"]) == (308, "/help/chat/")
    assert client.get("/help/chat?language=en&a=%2F").headers["location"] == "/help/chat/?language=en&a=%2F"


def test_sockets_are_below_it_too(client: TestClient) -> None:
    with client.websocket_connect("/help/chat/socket") as socket:
        assert socket.receive_text() == "/socket"
