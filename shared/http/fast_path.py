"""Answers the most frequent requests without the framework's routing, dependencies and copies of the answer.

Such an endpoint stands beside an ordinary route of the same path and handles the common case: JSON, with an access
token that was verified recently. Everything else takes the ordinary route, so error messages and the OpenAPI document
have one source.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.calls.client import REQUEST_ID_HEADER
from shared.errors import Forbidden
from shared.http.auth import TENANT_HEADER, Principal, TokenVerifier
from shared.http.middleware import account, begin_request, problem_of
from shared.http.problems import problem_response

__all__ = ["DirectAnswer", "DirectEndpoint", "DirectRequest", "DirectRoute", "DirectRoutes"]

BEARER = b"Bearer "
JSON = b"application/json"
REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
FOR_TENANT = TENANT_HEADER.lower().encode()


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """A request of the common case: the caller, the headers with lower-case names, the whole body.

    `parameters` are the parts of the path that the route names; nobody has checked them.
    """

    state: Any
    principal: Principal
    headers: Mapping[bytes, bytes]
    body: bytes
    receive: Receive
    parameters: Mapping[str, str]
    scope: Scope


@dataclass(frozen=True, slots=True)
class DirectAnswer:
    """An answer with a status of its own."""

    body: BaseModel
    status: int


DirectEndpoint = Callable[[DirectRequest], Awaitable[BaseModel | DirectAnswer | None]]
"""Returns the answer, or None to pass the request on to the ordinary route."""


@dataclass(frozen=True)
class DirectRoute:
    """An endpoint for POST requests to a path, for callers with one of the roles or scopes, or for `anyone` known.

    The path is written as the ordinary route's is, with `{name}` for what varies.
    """

    path: str
    endpoint: DirectEndpoint
    roles: Collection[str] = ()
    scopes: Collection[str] = ()
    anyone: bool = False

    def admits(self, principal: Principal) -> bool:
        """Whether this caller may be answered directly."""
        return self.anyone or principal.has_any(roles=self.roles, scopes=self.scopes)


class DirectRoutes:
    """Plain ASGI around the whole application; it counts and logs what it answers.

    It is outside of all other layers, because refusing a request must cost next to nothing: an overloaded service does
    little else.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        state: Any,
        routes: Collection[DirectRoute],
        max_body_bytes: int,
        stopping: asyncio.Event,
    ) -> None:
        self._app = app
        self._service = service
        self._state = state
        self._routes = {each.path: each for each in routes if "{" not in each.path}
        self._patterns = [(compile_path(each.path)[0], each) for each in routes if "{" in each.path]
        self._max_body_bytes = max_body_bytes
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, parameters = found
        headers = dict(scope["headers"])
        principal = self._principal(headers)
        if principal is None or not route.admits(principal) or not self._plain(headers):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        body, last = await _read(receive)
        if last is not None:
            await self._app(scope, _again(body, last, receive), send)
            return
        request_id = begin_request(headers.get(REQUEST_ID, b"").decode("latin-1"))
        content: bytes | memoryview
        response_headers: list[tuple[bytes, bytes]] | None = None
        try:
            asked = DirectRequest(self._state, principal, headers, body, receive, parameters, scope)
            answer = await route.endpoint(asked)
            if answer is not None:
                model, status = (answer.body, answer.status) if isinstance(answer, DirectAnswer) else (answer, 200)
                content = model.__pydantic_serializer__.to_json(model)
                response_headers = [(b"content-length", b"%d" % len(content)), (b"content-type", JSON)]
        except Exception as error:
            refused = problem_response(problem_of(error))
            status, content, response_headers = refused.status_code, refused.body, refused.raw_headers
        if response_headers is None:
            await self._app(scope, _again(body, None, receive), send)
            return
        response_headers.append((REQUEST_ID, request_id.encode()))
        if self._stopping.is_set():
            # Clients with pooled connections choose another instance before this one is gone.
            response_headers.append((b"connection", b"close"))
        # The metrics and the log take the route's path from here.
        scope["route"] = route
        try:
            await send({"type": "http.response.start", "status": status, "headers": response_headers})
            await send({"type": "http.response.body", "body": content})
        finally:
            account(self._service, scope, status, time.perf_counter() - started)

    def _find(self, path: str) -> tuple[DirectRoute, Mapping[str, str]] | None:
        route = self._routes.get(path)
        if route is not None:
            return route, {}
        for pattern, each in self._patterns:
            if match := pattern.match(path):
                return each, match.groupdict()
        return None

    def _principal(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        given = headers.get(b"authorization", b"")
        verifier: TokenVerifier = self._state.verifier
        principal = verifier.known(given[len(BEARER) :].decode("latin-1")) if given.startswith(BEARER) else None
        tenant = headers.get(FOR_TENANT)
        if principal is None or tenant is None:
            return principal
        try:
            return principal.asking_for(tenant.decode("latin-1"))
        except Forbidden:
            # The ordinary route says so.
            return None

    def _plain(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the body is JSON as it is, with a known size below the limit, sent without `Expect`."""
        length = headers.get(b"content-length", b"")
        return (
            headers.get(b"content-type") == JSON
            and length.isdigit()
            and int(length) <= self._max_body_bytes
            and b"expect" not in headers
            and b"content-encoding" not in headers
        )


async def _read(receive: Receive) -> tuple[bytes, Message | None]:
    """The body, and the message that ended it early (a disconnect), if one did."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts), message
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts), None


def _again(body: bytes, last: Message | None, receive: Receive) -> Receive:
    """A `receive` that replays what was already read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": last is not None}]
    if last is not None:
        messages.append(last)

    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay
