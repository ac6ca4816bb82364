"""Serves a FastAPI application on a real port of the loopback, inside the test's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from shared.http.connection import connections_of
from shared.settings import ServiceSettings

__all__ = ["RunningServer", "free_port", "serve"]

START_SECONDS = 10.0
STOP_SECONDS = 5


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """Where a served application answers."""

    app: FastAPI
    port: int

    @property
    def base_url(self) -> str:
        """The address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """`host:port`, as `static_services` wants it."""
        return f"127.0.0.1:{self.port}"


class _Server(uvicorn.Server):
    """Says when it listens, and leaves the signals of the test process alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: FastAPI, *, port: int = 0) -> AsyncIterator[RunningServer]:
    """Runs `app` with its lifespan; an error of the lifespan is raised here, as it is.

    Args:
        port: where to listen; by default a free port.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app,
        http=connections_of(getattr(app.state, "settings", None) or ServiceSettings()),  # type: ignore[arg-type]  # as in shared.http.server
        server_header=False,
        # uvicorn only logs what a lifespan raises, so the lifespan is entered here instead.
        lifespan="off",
        log_config=None,
        access_log=False,
        # Otherwise uvicorn itself believes X-Forwarded-For of this machine, before the application can judge it.
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(config)
    with listener:
        async with app.router.lifespan_context(app):
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="test-server")
            try:
                async with asyncio.timeout(START_SECONDS):
                    await server.listening.wait()
                yield RunningServer(app=app, port=listener.getsockname()[1])
            finally:
                server.should_exit = True
                await serving
