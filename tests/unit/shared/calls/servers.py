"""Servers on the loopback that count what they are asked, and a discovery that knows them."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from shared.calls.registration import Instance

__all__ = ["Handler", "Instances", "Serve", "Server", "answering", "fine"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Instances:
    """A discovery that knows what the test tells it."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports

    async def instances(self, service: str) -> tuple[Instance, ...]:
        return tuple(
            Instance(id=f"{service}-{port}", service=service, host="127.0.0.1", port=port) for port in self.ports
        )

    async def close(self) -> None:
        return None


class Server:
    """Counts its requests and answers as it is told."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[web.Request] = []
        self.bodies: list[str] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.text())
        return await self.handler(request)


Serve = Callable[[Handler], Awaitable[Server]]


async def fine(_request: web.Request) -> web.Response:
    return web.json_response({"fine": True})


def answering(status: int, body: object = None, headers: dict[str, str] | None = None) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return answer
