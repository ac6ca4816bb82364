"""What the tests of login play on."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from services.login.app import create_app
from services.login.settings import Settings
from shared.http.auth import JwksCache, TokenVerifier
from shared.http.revocations import Revocations
from tests.calls import Calls, calling
from tests.externals import Redis
from tests.servers import serve

__all__ = ["ADMIN", "BOOTSTRAP", "CLIENT", "LILEI", "Gateway", "Stage", "verifier"]

ADMIN = {"username": "admin", "password": "a good password"}
LILEI = {"username": "lilei", "password": "another good one"}
CLIENT = {"grant_type": "client_credentials", "client_id": "dialogue", "client_secret": "s" * 40, "audience": "intent"}
BOOTSTRAP = {
    "accounts": [
        {**ADMIN, "roles": ["admin"], "customer": None, "display_name": "Admin"},
        {**LILEI, "roles": ["customer"], "customer": "C1001", "display_name": "李雷"},
    ],
    "clients": [
        {
            "client_id": "dialogue",
            "client_secret": "s" * 40,
            "scopes": ["business:lookup", "intent:predict", "login:gateway"],
        },
        {"client_id": "desk", "client_secret": "d" * 40, "scopes": ["login:audit"]},
        {"client_id": "idle", "client_secret": "i" * 40, "scopes": []},
    ],
}


@dataclass
class Stage:
    """A folder and a Redis, in which login is started as often and with whatever settings a test wants."""

    folder: Path
    redis: Redis
    stack: AsyncExitStack

    async def login(self, **settings: Any) -> Calls:
        """Starts login and gives calls to it; it ends with the test."""
        calls, _ = await self.login_at(**settings)
        return calls

    async def login_at(self, **settings: Any) -> tuple[Calls, str]:
        """As `login`, with the address as well."""
        bootstrap = self.folder / "bootstrap.json"
        bootstrap.write_text(json.dumps(BOOTSTRAP, ensure_ascii=False), encoding="utf-8")
        given: dict[str, Any] = {
            "home": self.folder,
            "port": 0,
            "redis_url": self.redis.url_of("login"),
            "bootstrap_file": bootstrap,
            "log_level": "error",
            "argon2_memory_kib": 64,
            "argon2_iterations": 1,
        }
        server = await self.stack.enter_async_context(serve(create_app(Settings(**(given | settings)))))
        return await self.stack.enter_async_context(calling(server.base_url)), server.base_url


def verifier(login: Calls, audience: str = "dialogue") -> TokenVerifier:
    """Verifies as another service would, with nothing but the published keys."""

    async def fetch() -> dict[str, Any]:
        keys: dict[str, Any] = (await login.get("/.well-known/jwks.json")).body
        return keys

    async def ended(since: float) -> dict[str, Any]:
        told: dict[str, Any] = (await login.get(f"/v1/revocations?since={since}")).body
        return told

    return TokenVerifier(
        JwksCache(fetch), issuer="zhiyin", audience=audience, revocations=Revocations(ended, period=60)
    )


class Gateway:
    """What dialogue adds to the requests of people."""

    def __init__(self, token: str) -> None:
        self._token = token

    @classmethod
    async def to(cls, login: Calls) -> Self:
        """With the token that login gives to dialogue."""
        return cls((await login.post("/v1/token", json={**CLIENT, "audience": "login"})).body["access_token"])

    def speaks_for(self, address: str) -> dict[str, str]:
        """The headers of a request from that address."""
        return {"X-Client-Address": address, "X-Gateway-Token": self._token}
