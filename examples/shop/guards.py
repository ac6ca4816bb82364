"""What stands before the shop: the size of requests, and the faults that a test asks for."""

import asyncio

from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.shop.bodies import Faulty
from examples.shop.problems import Problem, problem_answer

__all__ = ["Faults", "SizeLimit"]

LARGEST = 64 * 1024
FAULTS_PATH = "/faults"


class SizeLimit:
    """Refuses requests that are too large before they are read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said[:12]) > LARGEST:
            problem = Problem(413, "too_large", f"a request has at most {LARGEST} bytes")
            await problem_answer(problem)(scope, receive, send)
            return
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST:
                raise ValueError("the body is too large")
            return message

        await self._app(scope, bounded, send)


class Faults:
    """Makes the next answers go wrong, as `PUT /faults` has said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        fault = self._next(scope)
        if fault is None:
            await self._app(scope, receive, send)
            return
        match fault.fault:
            case "slow":
                await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)
            case "error":
                await problem_answer(Problem(500, "fault", "nothing has happened"))(scope, receive, send)
            case "rate_limited":
                answer = problem_answer(Problem(429, "rate_limited", "too many requests at once"))
                answer.headers["Retry-After"] = "1"
                await answer(scope, receive, send)
            case "error_after":
                await self._unheard(scope, receive)
                await problem_answer(Problem(500, "fault", "something has happened"))(scope, receive, send)
            case "garbage":
                await self._unheard(scope, receive)
                await Response(b"<html>\xff not JSON", media_type="application/json")(scope, receive, send)
            case "lose_answer":
                await self._unheard(scope, receive)
                # A server cuts the connection when less is sent than was announced.
                length = (b"content-length", b"1000")
                await send({"type": "http.response.start", "status": 200, "headers": [length]})
                await send({"type": "http.response.body", "body": b"{", "more_body": True})

    def _next(self, scope: Scope) -> Faulty | None:
        if scope["type"] != "http" or scope["path"] in (FAULTS_PATH, "/health"):
            return None
        state = scope["app"].state
        fault: Faulty | None = state.fault
        if fault is None or fault.times < 1 or (fault.effects_only and scope["method"] == "GET"):
            return None
        state.fault = fault.model_copy(update={"times": fault.times - 1})
        return fault

    async def _unheard(self, scope: Scope, receive: Receive) -> None:
        async def unheard(_message: Message) -> None:
            return

        await self._app(scope, receive, unheard)
