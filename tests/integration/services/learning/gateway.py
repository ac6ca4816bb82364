"""The way to learning that people have: dialogue's routes with a log-in, in front of a learning that runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from services.dialogue.api import releases
from shared.assistants.bundle import MAX_BUNDLE_BYTES
from shared.errors import Unauthenticated
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.integration.services.learning.publisher import TOKENS, Client
from tests.servers import serve

__all__ = ["PASSWORD", "gateway"]

PASSWORD = "correct-horse"


@asynccontextmanager
async def gateway(learning: Client | None, *, port: int = 0) -> AsyncIterator[str]:
    """The address; behind it no learning answers where there is none."""
    settings = ServiceSettings(
        environment="development",
        drain_seconds=0.0,
        static_services={"learning": f"127.0.0.1:{learning.port if learning else 1}"},
    )
    login = APIRouter()

    @login.post("/v1/auth/{way}")
    async def tokens(way: str, body: dict[str, str]) -> dict[str, str]:
        if way == "login" and body["password"] != PASSWORD:
            raise Unauthenticated("the name or the password is wrong")
        roles = (body.get("username") or body["refresh_token"],)
        # A token that has expired already: everything after the log-in has to renew it once.
        lifetime = -60 if way == "login" else 600
        return {"access_token": TOKENS.issue(roles=roles, lifetime=lifetime), "refresh_token": roles[0]}

    app = create_service(
        settings,
        name="dialogue",
        description="",
        routers=[releases.router, login],
        jwks=TOKENS.fetch,
        large_bodies={releases.BUNDLES: MAX_BUNDLE_BYTES},
    )
    async with serve(app, port=port) as server:
        yield server.base_url
