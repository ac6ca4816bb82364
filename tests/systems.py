"""A company's system for tests: a real HTTP server on the loopback that answers as a test wants, well or badly."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

__all__ = ["Asked", "CompanySystem", "company_system", "cut", "never"]

Answer = int | dict[str, Any] | list[Any] | web.Response | Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came: the path as it was sent, with what is in it still encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class CompanySystem:
    """Remembers what it was asked; what nobody told it is 404."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self.busy = 0
        """Requests that are being answered."""
        self.busiest = 0

    def answers(self, method: str, path: str, *answers: Answer) -> None:
        """What it answers there, one after the other, the last one from then on; a number is a status."""
        self._answers[method, path] = list(answers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""
        raw = request.raw_path.partition("?")[0]
        content = await request.read()
        is_json = request.content_type == "application/json"
        self.asked.append(
            Asked(
                method=request.method,
                path=raw,
                query=dict(request.query),
                headers=dict(request.headers),
                body=json.loads(content) if is_json and content else content.decode(),
            )
        )
        answers = self._answers.get((request.method, raw), [404])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            if isinstance(answer, int):
                return web.Response(status=answer)
            if isinstance(answer, dict | list):
                return web.json_response(answer)
            if isinstance(answer, web.Response):
                # A response is sent once.
                return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
            return await answer(request)
        finally:
            self.busy -= 1


@asynccontextmanager
async def company_system(context: ssl.SSLContext | None = None) -> AsyncIterator[CompanySystem]:
    """A system that runs, with a context over TLS."""
    system = CompanySystem()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", system.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        scheme = "http" if context is None else "https"
        system.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        yield system
    finally:
        await runner.cleanup()


async def cut(request: web.Request) -> web.StreamResponse:
    """Breaks the connection after the request was read."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never(_request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    return web.Response()
