"""Two companies with two assistants each in one installation: dialogue, intent and business, and who they follow.

Login is no more than its keys and tokens here, so that whoever is needed of whichever tenant is there at once.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from services.business.app import create_app as create_business
from services.business.settings import Settings as BusinessSettings
from services.dialogue.app import create_app
from services.dialogue.settings import Settings
from services.intent.app import create_app as create_intent
from services.intent.settings import Settings as IntentSettings
from shared.contracts.releases import Release
from tests.calls import Calls, calling
from tests.customers import Customer
from tests.externals import Redis
from tests.models import write_model
from tests.releases_server import ReleasesServer, releases_server
from tests.servers import RunningServer, serve
from tests.tokens import TokenFactory
from tests.unit.services.dialogue.assistants import MANIFEST, REPLIES, write_assistant

__all__ = ["ASSISTANTS", "TENANTS", "Companies", "companies"]

TENANTS = ("acme", "beta")
ASSISTANTS = ("bank", "shop")
SCOPES = ("business:actions", "business:lookup", "intent:predict", "learning:read", "learning:report")


@dataclass
class Companies:
    """What runs."""

    folder: Path
    learning: ReleasesServer
    tokens: TokenFactory
    calls: Calls
    """To dialogue."""
    business: Calls
    dialogue: RunningServer
    settings: Settings
    """Those of dialogue."""
    count: int = 0

    def written(self, tenant: str, assistant: str, number: int) -> Path:
        """An assistant's folder; it greets with whose it is, and which."""
        said = REPLIES.replace("hello: [Hello!, Hi!]", f"hello: {tenant} {assistant} {number}")
        manifest = MANIFEST.replace("name: mini", f"name: {assistant}").replace("Mini", f"{assistant} of {tenant}")
        folder = self.folder / "written" / f"{tenant}-{assistant}-{number}"
        return write_assistant(folder, en=said, zh=said, manifest=manifest)

    def publish(self, tenant: str, assistant: str, number: int) -> Release:
        """Has a release live, as soon as it has come."""
        release = self.learning.add(
            tenant, assistant, self.written(tenant, assistant, number), model="shop", model_version="v1"
        )
        self.learning.move(release)
        return release

    def token(self, tenant: str, subject: str = "somebody", **claims: Any) -> str:
        """Somebody's; the same subject is another person in another tenant."""
        return self.tokens.issue(subject, tenant=tenant, **claims)

    async def customer(self, tenant: str, assistant: str | None) -> Customer:
        """A new conversation."""
        token = self.token(tenant)
        wanted = {"language": "en"} | ({} if assistant is None else {"assistant": assistant})
        opened = await self.calls.post("/v1/conversations", json=wanted, token=token)
        assert opened.status == 201, opened.text
        return Customer(self.calls, token, opened.body["id"])


def keys_of(tokens: TokenFactory) -> web.Application:
    """Login's keys, and the tokens of services."""

    async def keys(_request: web.Request) -> web.Response:
        return web.json_response(tokens.jwks())

    async def ended(_request: web.Request) -> web.Response:
        return web.json_response({"sessions": [], "kept_seconds": 3600.0, "now": time.time()})

    async def token(request: web.Request) -> web.Response:
        client = (await request.json())["client_id"]
        issued = tokens.issue(f"service-{client}", roles=(), scopes=SCOPES)
        return web.json_response({"access_token": issued, "expires_in": 3600})

    async def guest(_request: web.Request) -> web.Response:
        issued = tokens.issue("visitor", tenant="acme")
        return web.json_response({"access_token": issued, "refresh_token": "none", "expires_in": 3600})

    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", keys)
    app.router.add_get("/v1/revocations", ended)
    app.router.add_post("/v1/token", token)
    app.router.add_post("/v1/guest", guest)
    return app


@asynccontextmanager
async def companies(folder: Path, **settings: Any) -> AsyncIterator[Companies]:
    """All of it, running, with the first release of each assistant; `settings` are dialogue's."""
    tokens = TokenFactory()
    write_model(folder, name="shop", version="v1")
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(keys_of(tokens), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        redis = await stack.enter_async_context(Redis(folder / "redis"))
        learning = await stack.enter_async_context(releases_server())
        known = {"login": f"127.0.0.1:{runner.addresses[0][1]}", "learning": learning.address}
        common: dict[str, Any] = {
            "home": folder, "drain_seconds": 0, "client_secret": SecretStr("a secret of the test"),
            "environment": "development",
        }  # fmt: skip
        around = Companies(folder, learning, tokens, None, None, None, None)  # type: ignore[arg-type]
        for tenant in TENANTS:
            for assistant in ASSISTANTS:
                around.publish(tenant, assistant, 0)
        intent = create_intent(
            IntentSettings(
                **common, client_id="intent", static_services=known, inference_backend="openvino", inference_streams=1
            )
        )
        known["intent"] = (await stack.enter_async_context(serve(intent))).address
        business = create_business(
            BusinessSettings(
                **common, client_id="business", static_services=known, redis_url=redis.url_of("business"),
                relay_seconds=0.1,
            )
        )  # fmt: skip
        running = await stack.enter_async_context(serve(business))
        known["business"] = running.address
        own = Settings(
            **common,
            client_id="dialogue",
            static_services=known,
            redis_url=redis.url_of("dialogue"),
            assistant=write_assistant(folder / "built-in"),
            **{"messages_per_minute": 100_000, "messages_burst": 100_000, "conversations_per_minute": 100_000}
            | settings,
        )
        around.settings = own
        around.dialogue = await stack.enter_async_context(serve(create_app(own)))
        around.calls = await stack.enter_async_context(calling(around.dialogue.base_url))
        around.business = await stack.enter_async_context(calling(running.base_url))
        yield around
