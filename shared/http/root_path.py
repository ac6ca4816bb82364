"""A service below a path of a host that it shares with others, whose proxy passes paths on as they are."""

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["RootPath"]


class RootPath:
    """Takes the path that the service is below away from each request.

    What does not begin with it is served as well: probes and other services know nothing of the outside. Without its
    last slash the path is answered with a redirect, because a page's own addresses are relative to it.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        """`path` begins with a slash and ends without one, such as `/help`."""
        self._app = app
        self._path = path
        self._raw = path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            path: str = scope["path"]
            if path == self._path and scope["type"] == "http":
                query: bytes = scope["query_string"]
                location = self._raw + b"/" + (b"?" + query if query else b"")
                await send({"type": "http.response.start", "status": 308, "headers": [(b"location", location)]})
                await send({"type": "http.response.body", "body": b""})
                return
            if path.startswith(self._path + "/"):
                raw: bytes = scope.get("raw_path") or path.encode()
                scope = {**scope, "path": path.removeprefix(self._path), "raw_path": raw.removeprefix(self._raw)}
        await self._app(scope, receive, send)
