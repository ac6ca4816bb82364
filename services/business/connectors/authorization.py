"""How a system is told who asks: by a secret, or by a token that it gives for one."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared.assistants.connectors import Auth
from shared.assistants.plugins import NotSent, Reply

__all__ = ["Authorization"]

AskForToken = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Reply]]
"""Posts a form with headers to a path of the system."""

EARLY_SECONDS = 30.0
"""So long before its end a token is renewed, or after nine tenths of its time where that is sooner."""
UNSAID_SECONDS = 300.0
LONGEST_SECONDS = 86_400.0


@dataclass(frozen=True)
class _Token:
    secret: str
    text: str
    until: float


class Authorization:
    """The headers that say who asks, for one connector."""

    def __init__(self, auth: Auth | None, secret: Callable[[str], str], ask: AskForToken) -> None:
        self._auth = auth
        self._secret = secret
        self._ask = ask
        self._token: _Token | None = None
        self._asking = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """The headers; a token is asked for where there is none that holds.

        Raises:
            NotSent: there is no secret, or no token for it.
        """
        auth = self._auth
        if auth is None:
            return {}
        secret = self._secret(auth.secret)
        if auth.type == "header":
            return {auth.header: _ascii(secret, auth)}
        if auth.type == "bearer":
            return {"Authorization": f"Bearer {_ascii(secret, auth)}"}
        if auth.type == "basic":
            return {"Authorization": _basic(secret, auth)}
        return {"Authorization": f"Bearer {await self._valid_token(secret, auth)}"}

    def forget(self) -> bool:
        """Forgets a token that the system does not take; whether another may be taken."""
        had, self._token = self._token, None
        return had is not None

    async def _valid_token(self, secret: str, auth: Auth) -> str:
        async with self._asking:
            token = self._token
            if token is None or token.secret != secret or token.until <= time.monotonic():
                token = self._token = await self._fetch(secret, auth)
            return token.text

    async def _fetch(self, secret: str, auth: Auth) -> _Token:
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        try:
            reply = await self._ask(auth.token_path, form, {"Authorization": _basic(secret, auth)})
        except (ConnectionError, TimeoutError) as error:
            raise NotSent("the system gave no token") from error
        body = reply.body if isinstance(reply.body, dict) else {}
        text, seconds = body.get("access_token"), body.get("expires_in")
        if not 200 <= reply.status < 300 or not isinstance(text, str) or not (text.isascii() and text.isprintable()):
            raise NotSent(f"the system gave no token (status {reply.status})")
        left = UNSAID_SECONDS
        if isinstance(seconds, int | float) and 0 < seconds < LONGEST_SECONDS:
            left = float(seconds)
        return _Token(secret, text, time.monotonic() + max(left - EARLY_SECONDS, left * 0.9))


def _ascii(secret: str, auth: Auth) -> str:
    if not secret.isascii():
        raise NotSent(f"the secret '{auth.secret}' has characters that a header cannot carry")
    return secret


def _basic(secret: str, auth: Auth) -> str:
    if ":" not in secret:
        raise NotSent(f"the secret '{auth.secret}' is not `user:password`")
    return f"Basic {base64.b64encode(secret.encode()).decode('ascii')}"
