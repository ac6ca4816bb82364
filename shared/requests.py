"""What happens to every request before and after a route sees it: ids, limits, deadlines, metrics, one log line."""

import asyncio
import re
import time
import uuid
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from shared.client import DEADLINE_HEADER, REQUEST_ID_HEADER
from shared.errors import InternalError, Problem, TooLarge
from shared.problems import problem_response

__all__ = ["RequestMiddleware", "deadline_of"]

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_DEADLINE_SECONDS = 60.0

REQUESTS = Counter("zhiyin_http_requests_total", "HTTP requests answered", ["service", "method", "route", "status"])
SECONDS = Histogram(
    "zhiyin_http_request_seconds",
    "Time until an HTTP answer was complete",
    ["service", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def deadline_of(request: Request, default: float) -> float:
    """The moment (event loop's monotonic clock) by which the caller wants its answer, `default` seconds if unsaid."""
    given = request.headers.get(DEADLINE_HEADER, "")
    try:
        seconds = float(given)
    except ValueError:
        seconds = default
    if not 0 <= seconds <= MAX_DEADLINE_SECONDS:
        seconds = default
    return asyncio.get_running_loop().time() + seconds


@dataclass
class _Answer:
    status: int = 500
    started: bool = False
    refused: Problem | None = None


class RequestMiddleware:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, *, service: str, max_body_bytes: int, stopping: asyncio.Event) -> None:
        self._app = app
        self._service = service
        self._max_body_bytes = max_body_bytes
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        answer = _Answer()

        async def send_with_id(message: Message) -> None:
            if answer.refused is not None and not answer.started:
                # The application took the end of the body for a mistake of its own kind and answers that.
                return
            if message["type"] == "http.response.start":
                answer.status, answer.started = message["status"], True
                told = MutableHeaders(scope=message)
                told[REQUEST_ID_HEADER] = request_id
                if self._stopping.is_set():
                    # Whoever keeps connections goes elsewhere with the next request, before this process is gone.
                    told["Connection"] = "close"
            await send(message)

        try:
            length = headers.get("content-length", "")
            if length.isdecimal() and int(length) > self._max_body_bytes:
                raise TooLarge(f"the body may have {self._max_body_bytes} bytes at most")
            await self._app(scope, self._limited(receive, answer), send_with_id)
            if answer.refused is not None and not answer.started:
                raise answer.refused
        except Exception as error:
            if answer.started:
                raise
            answer.refused = None
            await problem_response(self._problem(error))(scope, receive, send_with_id)
        finally:
            self._account(scope, answer.status, time.perf_counter() - started)

    def _problem(self, error: Exception) -> Problem:
        if isinstance(error, Problem):
            return error
        log.error("unhandled_error", error=type(error).__name__, exc_info=error)
        return InternalError("the request could not be processed; its id is in the logs")

    def _limited(self, receive: Receive, answer: _Answer) -> Receive:
        total = 0

        async def limited() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > self._max_body_bytes:
                answer.refused = TooLarge(f"the body may have {self._max_body_bytes} bytes at most")
                raise answer.refused
            return message

        return limited

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        REQUESTS.labels(self._service, method, route, str(status)).inc()
        SECONDS.labels(self._service, route).observe(seconds)
        if not route.startswith(("/health", "/metrics")):
            log.info("request", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 1))
