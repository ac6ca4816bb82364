"""Answers that go on for long: the rest of them runs outside of the framework's layers, whose frames and objects would
otherwise stay for as long and cost more memory than the connection itself.
"""

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

__all__ = ["go_on", "go_on_with"]

KEY = "zhiyin.continuation"
KEPT = frozenset(("type", "asgi", "http_version", "method", "scheme", "path", "client", "server"))
"""What servers read of a scope while they send."""

Continuation = Callable[[Receive, Send], Awaitable[None]]


def go_on_with(scope: Scope, continuation: Continuation) -> None:
    """Has the begun answer to this request completed by `continuation`, once all layers have returned."""
    scope[KEY] = continuation


async def go_on(scope: Scope, receive: Receive, send: Send) -> None:
    """Completes the answer, if something was left to do; the outermost layer calls it with what the server gave it."""
    continuation: Continuation | None = scope.pop(KEY, None)
    if continuation is None:
        return
    for key in scope.keys() - KEPT:
        del scope[key]
    await continuation(receive, send)
