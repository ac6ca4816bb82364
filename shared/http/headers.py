"""Headers of every answer, whoever gives it: what browsers may do with it, and that it is kept nowhere."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["STANDING_HEADERS", "AnswerHeaders"]

STANDING_HEADERS = [
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
NO_STORE = (b"cache-control", b"no-store")
NOTHING = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)
"""For what is no page: data that a browser was led to open runs nothing."""


class AnswerHeaders:
    """Plain ASGI around everything, so that no answer leaves without them; an answer's own headers count first.

    It also answers HEAD wherever GET is answered: as GET, without the body.
    """

    def __init__(self, app: ASGIApp, *, hsts_seconds: int) -> None:
        self._app = app
        self._hsts = (b"strict-transport-security", b"max-age=%d" % hsts_seconds) if hsts_seconds else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                names = {name for name, _ in headers}
                headers += STANDING_HEADERS
                if b"cache-control" not in names:
                    headers.append(NO_STORE)
                if b"content-security-policy" not in names:
                    headers.append(NOTHING)
                if self._hsts is not None and _by_tls(scope):
                    headers.append(self._hsts)
            await send(message)

        if scope["method"] == "HEAD":
            await _as_get(self._app, scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def _by_tls(scope: Scope) -> bool:
    """Whether the client came by TLS, as far as it or the proxy before us says; a lie here concerns nobody else."""
    return scope["scheme"] == "https" or any(
        name == b"x-forwarded-proto" and value.strip().lower() == b"https" for name, value in scope["headers"]
    )


async def _as_get(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    complete = False

    async def send_start(message: Message) -> None:
        nonlocal complete
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})
            complete = True

    async def receive_until_complete() -> Message:
        # A stream would otherwise go on for a client that reads nothing of it.
        return {"type": "http.disconnect"} if complete else await receive()

    await app({**scope, "method": "GET"}, receive_until_complete, send_start)
