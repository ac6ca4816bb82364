"""Errors below `/v2` carry the member `error` too, which is what clients of the Open Inference Protocol read."""

import json

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import PROBLEM_JSON

__all__ = ["ProtocolErrors"]


class ProtocolErrors:
    """Around the whole application, because routes are not all that refuses a request.

    A problem document may have further members (RFC 9457, section 3.2), so one body says it both ways.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v2"):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def send_with_error(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if MutableHeaders(scope=message).get("content-type") == PROBLEM_JSON:
                    start = message
                    return
            elif start is not None:
                document = json.loads(message["body"])
                message = {**message, "body": json.dumps({**document, "error": document["detail"]}).encode()}
                MutableHeaders(scope=start)["content-length"] = str(len(message["body"]))
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, send_with_error)
