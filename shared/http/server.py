"""The HTTP server of every service: uvicorn with this project's settings."""

import importlib
import resource
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import SettingsError
from starlette.types import Message, Receive, Scope, Send

from shared.errors import ConfigurationError, ZhiyinError
from shared.http.connection import connections_of
from shared.http.gc_tuning import keep_what_there_is
from shared.logs import configure_logs
from shared.settings import ServiceSettings

__all__ = ["UNUSABLE", "load", "server_of"]

UNUSABLE = (ConfigurationError, ValidationError, SettingsError)
"""The errors that mean: the settings of a service cannot be used."""

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep idle connections, so that none is closed at the moment of its reuse."""

OTHER_FILES = 512
"""What a process opens besides its clients' connections, at most."""

OnSignal = Callable[[int, FrameType | None], None]


def load(module: str) -> FastAPI:
    """The application that the module's `create_app` makes; settings come from the environment.

    Raises:
        UNUSABLE: the settings, or something that they name, cannot be used.
    """
    app = importlib.import_module(module).create_app()
    assert isinstance(app, FastAPI)
    return app


def server_of(app: FastAPI, service: str, *, before_start: OnSignal) -> uvicorn.Server:
    """The HTTP server of an application that `shared.http.service.create_service` made.

    Args:
        before_start: called when a stop signal arrives before the service has started.
    """
    settings: ServiceSettings = app.state.settings
    configure_logs(service, settings.log_level)
    _make_room(settings.max_connections)
    config = uvicorn.Config(
        _Application(app),
        http=connections_of(settings),  # type: ignore[arg-type]  # uvicorn calls it, whatever it is
        host=settings.host,
        port=settings.port,
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        server_header=False,
        # Which proxies are trusted for client addresses is a setting of the services.
        proxy_headers=False,
        # A client that follows a conversation live never hangs up by itself.
        timeout_graceful_shutdown=settings.stop_seconds,
    )
    return _Server(config, before_start)


def _make_room(connections: int) -> None:
    """Raises the limit of open files, which is low by custom and not by need, so that the connections fit below it."""
    wanted = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, before_start: OnSignal) -> None:
        super().__init__(config)
        self._before_start = before_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        keep_what_there_is()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.started:
            self._before_start(sig, frame)
        # uvicorn's own handler raises the signal again after an orderly stop, which would look like a failure.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _Application:
    """The application; a start that fails for a known reason is reported in one sentence without a traceback."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failed: list[Message] = []

        async def send_later(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, send_later)
        except ZhiyinError as error:
            if not failed:
                raise
            await send({"type": "lifespan.startup.failed", "message": f"the service cannot start: {error}"})
        except BaseException:
            for message in failed:
                await send(message)
            raise
