"""The line between business and a company's systems: a server on this machine that answers from a recording, or passes
each request on and keeps what was said. What calls it is the same code whichever it is.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from cli.recordings import Exchange, Recording
from shared.assistants.connectors import Connector
from shared.errors import ZhiyinError

__all__ = ["NotRecorded", "Wire"]

LARGEST = 10_000_000
SECONDS = 60.0
OWN_HEADERS = frozenset(("host", "content-length", "connection", "transfer-encoding", "accept-encoding", "user-agent"))


class NotRecorded(ZhiyinError):
    """A request was made to which nothing was recorded."""


@dataclass
class Wire:
    """Listens on this machine as long as it is entered; `url` is a connector's address there.

    Without a recording requests go to `upstream`, the addresses of the systems by connector.
    """

    upstream: Mapping[str, str] = field(default_factory=dict)
    recording: Mapping[str, Recording] | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Paths at which a connector fetches its access token, which is never kept."""
    exchanges: list[Exchange] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Requests to which nothing was recorded."""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=LARGEST)
        application.router.add_route("*", "/{connector}/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS), auto_decompress=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    def reach(self, connectors: Mapping[str, Connector], urls: Mapping[str, str]) -> None:
        """Passes requests on to the addresses that connectors name, or to others."""
        self.upstream = {name: url for name, each in connectors.items() if (url := urls.get(name) or each.url)}
        self.tokens = {
            name: each.auth.token_path
            for name, each in connectors.items()
            if each.auth is not None and each.auth.type == "client_credentials"
        }

    def url(self, connector: str) -> str:
        """Where a connector's system seems to be."""
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/{connector}"

    def complain(self) -> None:
        """Raises what was asked and not recorded."""
        if self.unknown:
            asked = ", ".join(dict.fromkeys(self.unknown))
            self.unknown.clear()
            raise NotRecorded(f"no answer was recorded for {asked}; write one, or run `zhiyin test --record`")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        connector = request.match_info["connector"]
        path = request.rel_url.raw_path_qs.removeprefix(f"/{connector}")
        sent = await request.read()
        body = read_json(sent)
        started = time.perf_counter()
        fetches_token = path == self.tokens.get(connector)
        if self.recording is not None:
            if fetches_token:
                return web.json_response({"access_token": "recorded", "expires_in": 3600})
            exchange = Exchange.of(connector, request.method, path, body=body, status=200, answer=None)
            heard = self.recording[connector].answer(exchange.line, body) if connector in self.recording else None
            if heard is None:
                self.unknown.append(f"{exchange.line} of connectors/{connector}.yml")
                return web.json_response({"error": "not recorded"}, status=501)
            if heard.fails:
                return cut_off(request)
            status, content = heard.status, json.dumps(heard.body, ensure_ascii=False).encode()
        else:
            try:
                status, content = await self._pass_on(request, self.upstream[connector].rstrip("/") + path, sent)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                reason = "no answer within the time" if isinstance(error, TimeoutError) else str(error)
                rest: dict[str, Any] = {"body": body, "status": 0, "answer": None, "failure": reason or "cut off"}
                heard_nothing = Exchange.of(connector, request.method, path, **rest)
                if self.exchanges[-1:] != [heard_nothing]:  # an HTTP client tries again what has no effect
                    self.exchanges.append(heard_nothing)
                return cut_off(request)
        took = (time.perf_counter() - started) * 1000
        if fetches_token:
            return web.Response(status=status, body=content, content_type="application/json")
        said = read_json(content)
        self.exchanges.append(
            Exchange.of(connector, request.method, path, body=body, status=status, answer=said, milliseconds=took)
        )
        return web.Response(status=status, body=content, content_type="application/json")

    async def _pass_on(self, request: web.Request, url: str, sent: bytes) -> tuple[int, bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in OWN_HEADERS}
        async with self._session.request(
            request.method, URL(url, encoded=True), data=sent, headers=headers, allow_redirects=False
        ) as answer:
            content = b""
            async for chunk in answer.content.iter_chunked(65536):
                content += chunk
                if len(content) > LARGEST:
                    raise ValueError(f"more than {LARGEST} bytes")
            return answer.status, content


def read_json(content: bytes) -> Any:
    """What was said: JSON, or the text that it is."""
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def cut_off(request: web.Request) -> web.Response:
    """No answer: the caller finds the connection closed."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
