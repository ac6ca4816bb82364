"""How the HTTP server of every service is set up, once."""

import importlib
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
from shared.http.gc_tuning import keep_what_there_is
from shared.logs import configure_logs
from shared.settings import ServiceSettings

__all__ = ["UNUSABLE", "load", "server_of"]

UNUSABLE = (ConfigurationError, ValidationError, SettingsError)
"""What says that the settings of a service cannot be used."""

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep idle connections, so that none is closed just when it is used again."""

OnSignal = Callable[[int, FrameType | None], None]


def load(module: str) -> FastAPI:
    """The application that the module's `create_app` makes from the environment.

    Raises:
        UNUSABLE: the settings, or something that they name.
    """
    app = importlib.import_module(module).create_app()
    assert isinstance(app, FastAPI)
    return app


def server_of(app: FastAPI, service: str, *, before_start: OnSignal) -> uvicorn.Server:
    """The HTTP server of an application that `shared.http.service.create_service` made.

    Args:
        before_start: is called by a signal that asks for a stop before the service has started.
    """
    settings: ServiceSettings = app.state.settings
    configure_logs(service, settings.log_level)
    config = uvicorn.Config(
        _Application(app),
        host=settings.host,
        port=settings.port,
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # Whom to believe about a client's address is a setting of the services, not of the server.
        proxy_headers=False,
        # A client that follows a conversation live never hangs up by itself.
        timeout_graceful_shutdown=settings.stop_seconds,
    )
    return _Server(config, before_start)


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
        # uvicorn's own would raise the signal again after an orderly stop, which then would look like a failure.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _Application:
    """The application, but for a start that fails for a known reason: that is told in a sentence without a trace."""

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
