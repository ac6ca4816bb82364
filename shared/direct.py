"""Answers what is asked most without the framework's routing, dependencies and copies of the answer.

An endpoint of this kind stands beside an ordinary route of the same path and does the same for a request that is in
good order: JSON, with an access token that was verified already. Whatever is unusual takes the ordinary route, so
there is one place that tells people what is wrong, and one that the OpenAPI document comes from.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.tokens import Principal, TokenVerifier

__all__ = ["DirectEndpoint", "DirectRequest", "DirectRoute", "DirectRoutes"]

BEARER = b"Bearer "
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """A request in good order: who is asking, its headers in small letters, and its whole body."""

    state: Any
    principal: Principal
    headers: Mapping[bytes, bytes]
    body: bytes
    receive: Receive


DirectEndpoint = Callable[[DirectRequest], Awaitable[BaseModel | None]]
"""The answer, or None where the ordinary route has to look at the request."""


@dataclass(frozen=True)
class DirectRoute:
    """An endpoint for POST requests to a path, for whoever has one of the roles or scopes."""

    path: str
    endpoint: DirectEndpoint
    roles: Collection[str] = ()
    scopes: Collection[str] = ()


class DirectRoutes:
    """Plain ASGI, between `RequestMiddleware` and the application's own routing."""

    def __init__(self, app: ASGIApp, *, routes: Collection[DirectRoute]) -> None:
        self._app = app
        self._routes = {each.path: each for each in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        principal = _principal(scope, headers)
        if (
            principal is None
            or not principal.has_any(roles=route.roles, scopes=route.scopes)
            or headers.get(b"content-type") != JSON
            or b"expect" in headers
        ):
            await self._app(scope, receive, send)
            return
        body, last = await _read(receive)
        answer = None
        if last is None:
            # What the metrics and the log call it.
            scope["route"] = route
            answer = await route.endpoint(DirectRequest(scope["app"].state, principal, headers, body, receive))
        if answer is None:
            await self._app(scope, _again(body, last, receive), send)
            return
        content = answer.__pydantic_serializer__.to_json(answer)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(content)), (b"content-type", JSON)],
            }
        )
        await send({"type": "http.response.body", "body": content})


def _principal(scope: Scope, headers: Mapping[bytes, bytes]) -> Principal | None:
    given = headers.get(b"authorization", b"")
    verifier: TokenVerifier = scope["app"].state.verifier
    return verifier.known(given[len(BEARER) :].decode("latin-1")) if given.startswith(BEARER) else None


async def _read(receive: Receive) -> tuple[bytes, Message | None]:
    """The body, and what came in the place of its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts), message
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts), None


def _again(body: bytes, last: Message | None, receive: Receive) -> Receive:
    """What was read is received once more."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": last is not None}]
    if last is not None:
        messages.append(last)

    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay
