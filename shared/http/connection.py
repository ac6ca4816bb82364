"""One connection of a client: what it may send, how much at once and how long it may take.

uvicorn has no limits of its own. Headers are gathered before any code of a service sees them, so they are counted as
they come, and what is over its limit is never gathered. A request is refused with a problem document wherever that
can still be read; a client that has said nothing at all is just hung up on. Answers that are streamed are not timed.
"""

import asyncio
import json
import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from prometheus_client import Counter
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from shared.errors import (
    PROBLEM_JSON,
    ExpectationFailed,
    HeadersTooLarge,
    Malformed,
    MethodNotAllowed,
    Problem,
    RequestTimeout,
    Unavailable,
)
from shared.http.headers import STANDING_HEADERS
from shared.settings import ServiceSettings

__all__ = ["Connection", "connections_of"]

log = structlog.get_logger(__name__)

REFUSED = Counter("zhiyin_http_refused_total", "Requests refused before any route was looked for", ["status"])

RESERVED = 64
"""Connections beyond the limit on which health checks are answered, so that a crowd does not end the process."""
HEALTH = b"/health/"
LINGER_SECONDS = 2.0
"""How long the rest of a refused request is thrown away: a client that still sends would not see why it is refused."""
WRITE_SECONDS = 60.0
"""How long a client may leave what is sent to it unread."""
FRAMING = 16
"""Bytes of framing that each byte of a chunked body may have; anything more is no body."""
HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
CROWDED = Unavailable("too many connections are open; try again", retry_after=1)
BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class _Phase(Enum):
    """What is awaited of the client."""

    REQUEST = auto()
    HEADERS = auto()
    BODY = auto()


def connections_of(settings: ServiceSettings) -> Callable[..., "Connection"]:
    """Makes the connections of a server with the limits of these settings."""

    def connect(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        return Connection(config, server_state, app_state, _loop, settings=settings)

    return connect


class Connection(HttpToolsProtocol):
    """A connection with limits; `settings` say which."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        settings: ServiceSettings,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = settings
        self._phase = _Phase.REQUEST
        self._requests = 0
        self._header_bytes = 0
        self._body_bytes = 0
        self._framing_bytes = 0
        self._refused = False
        self._crowded = False
        self._timer: asyncio.TimerHandle | None = None
        self._timed: tuple[_Phase, int] | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        others = len(self.connections) - 1
        if others >= self._settings.max_connections + RESERVED:
            self._refused = True
            REFUSED.labels(str(CROWDED.status)).inc()
            transport.write(_answer_to(CROWDED))
            transport.close()
            return
        self._crowded = others >= self._settings.max_connections
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self._refused:
            # What is not a body is fed in pieces that keep within the limit.
            left = len(data) if self._phase is _Phase.BODY else self._settings.max_header_bytes - self._header_bytes
            piece, data = data[:left], data[left:]
            if self._phase is _Phase.BODY:
                self._framing_bytes += len(piece)
            else:
                self._header_bytes += len(piece)
            super().data_received(piece)
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                # It is over, or a WebSocket by now.
                self._stop_timer()
                return
            if self._phase is not _Phase.BODY and self._header_bytes >= self._settings.max_header_bytes:
                limit = self._settings.max_header_bytes
                self._refuse(HeadersTooLarge(f"the request line and the headers may have {limit} bytes at most"))
            elif self._framing_bytes > self._settings.max_header_bytes + FRAMING * self._body_bytes:
                self._refuse(Malformed("the body is more framing than content"))
        if not self._refused:
            self._set_timer()

    def eof_received(self) -> None:
        if self._refused:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _Phase.HEADERS
        self._requests += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        # Nobody reads what comes behind a body.
        if self._phase is _Phase.HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._phase = _Phase.BODY
        self._header_bytes = self._body_bytes = self._framing_bytes = 0
        problem = self._problem()
        if problem is not None:
            self._refuse(problem)
            return
        super().on_headers_complete()
        if self._crowded and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            self._body_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = _Phase.REQUEST
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed; uvicorn calls this."""
        self._refuse(Malformed("this is not a well-formed HTTP request"))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _problem(self) -> Problem | None:
        """What is wrong with the request, as far as its headers tell."""
        if self._crowded and not self.url.startswith(HEALTH):
            return CROWDED
        if self.parser.get_method() == b"CONNECT":
            return MethodNotAllowed("this is no proxy")
        if self.url == b"*" and self.parser.get_method() == b"OPTIONS":
            # It asks about the server, which has no options of its own.
            self.url = b"/"
        if b"%" in self.url and not _decodes(self.url):
            return Malformed("the address is not percent-encoded UTF-8")
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
                if not HOST.fullmatch(value.strip()):
                    return Malformed("the header Host is not the name of a host")
            elif name == b"expect" and value.lower() != b"100-continue":
                return ExpectationFailed("nothing but 100-continue can be expected")
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            return Malformed("a request has the header Host once")
        return None

    def _set_timer(self) -> None:
        """Times what is awaited of the client: the first request of a connection, headers, or a body."""
        if self._phase is _Phase.REQUEST and self._requests:
            # Until the next one begins, uvicorn's keep-alive counts.
            self._stop_timer()
            return
        awaited = (self._phase, self._requests)
        if awaited == self._timed:
            return
        self._stop_timer()
        self._timed = awaited
        body = self._phase is _Phase.BODY
        seconds = self._settings.body_seconds if body else self._settings.header_seconds
        self._timer = self.loop.call_later(seconds, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._timed = None

    def _late(self) -> None:
        self._timed = None
        if self.flow.read_paused or (self._phase is _Phase.HEADERS and self._answering()):
            # It waits for us: for the application to take what was sent, or for the answer before.
            self._set_timer()
        elif self._requests == 0 and self._header_bytes == 0:
            self.transport.close()
        else:
            what = "body" if self._phase is _Phase.BODY else "headers"
            self._refuse(RequestTimeout(f"the {what} did not come in time"))

    def _answering(self) -> bool:
        """Whether the answer to a request before this one is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """Answers with the problem where nothing else is being answered, and ends the connection."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        REFUSED.labels(str(problem.status)).inc()
        log.info("request_refused", status=problem.status, reason=problem.detail)
        if self.cycle is not None and self.cycle.scope is self.scope:
            if self.cycle.response_started or self.pipeline:
                # The answer is under way or complete, or one before it is.
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._answering():
            # The request before is answered first.
            self.cycle.keep_alive = False
            return
        self.transport.write(_answer_to(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _decodes(url: bytes) -> bool:
    if BROKEN_ESCAPE.search(url):
        return False
    try:
        unquote_to_bytes(url).decode()
    except UnicodeDecodeError:
        return False
    return True


def _answer_to(problem: Problem) -> bytes:
    body = json.dumps(problem.document()).encode()
    headers = [
        *STANDING_HEADERS,
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        (b"content-length", b"%d" % len(body)),
        (b"content-type", PROBLEM_JSON.encode()),
    ]
    return b"".join([STATUS_LINE[problem.status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body])
