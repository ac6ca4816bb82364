"""Work around every request: ids, body limit, deadlines, metrics, one log line."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from shared.calls.client import DEADLINE_HEADER, REQUEST_ID_HEADER
from shared.errors import DeadlineExceeded, InternalError, Problem, TooLarge, UnsupportedMedia
from shared.http.problems import problem_response

__all__ = [
    "CancelledWhenGone",
    "RequestMiddleware",
    "account",
    "begin_request",
    "deadline_from",
    "deadline_of",
    "problem_of",
]

log = structlog.get_logger(__name__)
LOGGED = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_DEADLINE_SECONDS = 60.0
UNWATCHED_SECONDS = 0.1

REQUESTS = Counter("zhiyin_http_requests_total", "HTTP requests answered", ["service", "method", "route", "status"])
SECONDS = Histogram(
    "zhiyin_http_request_seconds",
    "Time until an HTTP answer was complete",
    ["service", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IDS = random.Random()
"""Not `uuid4`: its `os.urandom` releases the interpreter lock, and under load the event loop waits to get it back."""
IDENTITY = "identity"
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def begin_request(given: str) -> str:
    """The request's id (`given`, if it is well formed), bound to everything that is logged from now on."""
    request_id = given if REQUEST_ID.fullmatch(given) else f"{IDS.getrandbits(128):032x}"
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


def account(service: str, scope: Scope, status: int, seconds: float) -> None:
    """Counts and logs an answered request."""
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    requests, duration = _series(service, method, route, status)
    requests.inc()
    duration.observe(seconds)
    if LOGGED.isEnabledFor(logging.INFO) and not route.startswith(("/health", "/metrics")):
        log.info("request", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 1))


def problem_of(error: Exception) -> Problem:
    """The problem to answer with; an unexpected error is logged and becomes `InternalError`."""
    if isinstance(error, Problem):
        return error
    log.error("unhandled_error", error=type(error).__name__, exc_info=error)
    return InternalError("the request could not be processed; its id is in the logs")


def deadline_of(request: Request, default: float) -> float:
    """The caller's deadline on the event loop's clock; `default` seconds from now if the header has none."""
    return deadline_from(request.headers.get(DEADLINE_HEADER, ""), default)


def deadline_from(given: str | bytes, default: float) -> float:
    """The deadline from the value of the header."""
    try:
        seconds = float(given)
    except ValueError:
        seconds = default
    if not 0 <= seconds <= MAX_DEADLINE_SECONDS:
        seconds = default
    return asyncio.get_running_loop().time() + seconds


class CancelledWhenGone:
    """Inside, the running task is cancelled when the client goes away, and the cancellation becomes an error.

    Watching costs as much as a small answer, and clients rarely hang up at once, so it starts after a moment.

    Raises:
        DeadlineExceeded: the client went away.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._patience = self._loop.call_later(UNWATCHED_SECONDS, self._watch)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._patience.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self._gone and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise DeadlineExceeded("the client went away before the answer")

    def _watch(self) -> None:
        self._watching = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()


@dataclass
class _Answer:
    status: int = 500
    started: bool = False
    refused: Problem | None = None


class RequestMiddleware:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        max_body_bytes: int,
        stopping: asyncio.Event,
        large_bodies: Mapping[str, int] | None = None,
    ) -> None:
        """Args:
        large_bodies: how many bytes a body may have on paths that begin so, in the place of `max_body_bytes`.
        """
        self._app = app
        self._service = service
        self._max_body_bytes = max_body_bytes
        self._large_bodies = large_bodies or {}
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = begin_request(headers.get(REQUEST_ID_HEADER, ""))
        answer = _Answer()

        async def send_with_id(message: Message) -> None:
            if answer.refused is not None and not answer.started:
                # The body was over the limit; what the application makes of its end is not sent.
                return
            if message["type"] == "http.response.start":
                answer.status, answer.started = message["status"], True
                response_headers = MutableHeaders(scope=message)
                response_headers[REQUEST_ID_HEADER] = request_id
                if self._stopping.is_set():
                    # Clients with pooled connections choose another instance before this one is gone.
                    response_headers["Connection"] = "close"
            await send(message)

        try:
            length, limit = headers.get("content-length", ""), self._limit_of(scope["path"])
            if length.isdecimal() and int(length) > limit:
                raise TooLarge(f"the body may have {limit} bytes at most")
            encoding = headers.get("content-encoding", IDENTITY).strip().lower()
            if encoding != IDENTITY:
                raise UnsupportedMedia(f"a body of content encoding {encoding[:64]!r} is not read here")
            await self._app(scope, self._limited(receive, answer, limit), send_with_id)
            if answer.refused is not None and not answer.started:
                raise answer.refused
        except Exception as error:
            if answer.started:
                raise
            answer.refused = None
            await problem_response(problem_of(error))(scope, receive, send_with_id)
        finally:
            account(self._service, scope, answer.status, time.perf_counter() - started)

    def _limit_of(self, path: str) -> int:
        large = (limit for begin, limit in self._large_bodies.items() if path.startswith(begin))
        return next(large, self._max_body_bytes)

    def _limited(self, receive: Receive, answer: _Answer, limit: int) -> Receive:
        total = 0

        async def limited() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > limit:
                answer.refused = TooLarge(f"the body may have {limit} bytes at most")
                raise answer.refused
            return message

        return limited


@lru_cache(maxsize=1024)
def _series(service: str, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    # Looking them up by their labels takes longer than counting.
    return REQUESTS.labels(service, method, route, str(status)), SECONDS.labels(service, route)
