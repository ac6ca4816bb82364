"""A service's own access tokens: fetched from login with client credentials, renewed in time."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from shared.calls.client import ServiceClient
from shared.errors import DeadlineExceeded, Forbidden, Unauthenticated, Unavailable, ZhiyinError

__all__ = ["ServiceTokens"]

log = structlog.get_logger(__name__)

TOKEN_MARGIN_SECONDS = 30.0
RENEW_AGAIN_SECONDS = 5.0
ASK_SECONDS = 1.0
"""So long login may take to say whether it takes our credentials."""


class ServiceTokens:
    """A service's own access tokens, one for each service that it calls and good there only.

    They are fetched from login with client credentials and renewed in time. While login is away the last one serves
    until it expires.
    """

    def __init__(self, client: ServiceClient, client_id: str, client_secret: str) -> None:
        self._client = client
        self._body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._of: dict[str, _Token] = {}
        self._accepted = False

    async def __call__(self, service: str) -> str:
        """A valid token for calls to the service.

        Raises:
            Unavailable: login is away and the last token has expired.
            Forbidden: this client has no business with that service.
        """
        token = self._of.setdefault(service, _Token())
        if time.monotonic() >= token.renew_at:
            async with token.lock:
                if time.monotonic() >= token.renew_at:
                    await self._renew(service, token)
        return token.text

    async def accepted(self) -> None:
        """Returns when login has accepted the credentials once, or cannot be asked: nothing speaks against them then.

        Raises:
            Unauthenticated: it refuses them, as it does those that were replaced until its own pods know the new ones.
        """
        if self._accepted:
            return
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self("login")
        except Forbidden:
            # They are, and there is nothing that they may do at login.
            pass
        except Unauthenticated:
            raise
        except (ZhiyinError, TimeoutError):
            return
        self._accepted = True

    async def _renew(self, service: str, token: "_Token") -> None:
        body = {**self._body, "audience": service}
        try:
            answer = await self._client.post(
                "login", "/v1/token", json=body, deadline=3.0, retry=True, authenticated=False
            )
        except (Unavailable, DeadlineExceeded):
            if time.monotonic() >= token.expires_at:
                raise
            log.warning("service_token_not_renewed", audience=service)
            token.renew_at = min(time.monotonic() + RENEW_AGAIN_SECONDS, token.expires_at)
            return
        lifetime = float(answer["expires_in"])
        token.text = str(answer["access_token"])
        token.expires_at = time.monotonic() + lifetime - TOKEN_MARGIN_SECONDS
        token.renew_at = min(token.expires_at, time.monotonic() + lifetime / 2)


@dataclass
class _Token:
    """The token for one service; times are on the monotonic clock."""

    text: str = ""
    renew_at: float = float("-inf")
    expires_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
