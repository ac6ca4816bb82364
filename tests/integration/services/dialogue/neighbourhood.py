"""The dialogue service with real neighbours: login, intent and business over HTTP, Redis and its queue.

The model is a tiny one whose answers can be foretold; the test itself takes the worker's place at the queue.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from fastapi import FastAPI
from kombu import Connection
from pydantic import SecretStr

from services.business.app import create_app as create_business
from services.business.settings import Settings as BusinessSettings
from services.dialogue.app import create_app
from services.dialogue.settings import Settings
from services.intent.app import create_app as create_intent
from services.intent.settings import Settings as IntentSettings
from services.login.app import create_app as create_login
from services.login.settings import Settings as LoginSettings
from shared.contracts.actions import ActionRequest
from shared.queue.celery import ACTIONS, RESULTS, TRANSPORT_OPTIONS
from tests.calls import Calls
from tests.customers import Customer
from tests.externals import Redis
from tests.models import write_model
from tests.servers import RunningServer, serve
from tests.stack import eventually

__all__ = [
    "ADMIN",
    "AGENT",
    "BEN",
    "CUSTOMER",
    "OPERATOR",
    "SUPERVISOR",
    "Neighbourhood",
    "logged_in",
    "neighbourhood",
    "new_guest",
    "opened_by",
]

CLIENT = {
    "client_id": "dialogue",
    "client_secret": "a secret of the test",
    "scopes": ["intent:predict", "business:lookup", "login:gateway"],
}
PASSWORD = "a password of the test"
AGENT, BEN, SUPERVISOR, OPERATOR, ADMIN, CUSTOMER = (
    {"username": name, "password": PASSWORD, "roles": [role], "display_name": name.title(), "customer": customer}
    for name, role, customer in (
        ("agent", "agent", None),
        ("ben", "agent", None),
        ("supervisor", "supervisor", None),
        ("operator", "operator", None),
        ("admin", "admin", None),
        ("lilei", "customer", "C1002"),
    )
)
ACCOUNTS = [AGENT, BEN, SUPERVISOR, OPERATOR, ADMIN, CUSTOMER]


@dataclass
class Neighbourhood:
    """Everything around one customer."""

    dialogue: RunningServer
    servers: dict[str, AsyncExitStack]
    redis: Redis
    addresses: Mapping[str, str]
    """Where the neighbours answer, by their names."""

    settings: Settings
    """Those of dialogue."""

    def another(self, **changes: Any) -> FastAPI:
        """A second dialogue among the same neighbours, with other settings."""
        return create_app(self.settings.model_copy(update=changes))

    async def stop(self, service: str) -> None:
        """Ends a neighbour."""
        await self.servers.pop(service).aclose()

    async def waiting_action(self) -> ActionRequest:
        """The action that lies in the queue, taken off it."""
        client = redis.asyncio.Redis.from_url(self.redis.url)

        async def there() -> bool:
            return bool(await client.llen(ACTIONS))

        await eventually(there, what="an action in the queue")
        raw = await client.rpop(ACTIONS)
        await client.aclose()
        assert isinstance(raw, bytes)
        message = json.loads(raw)
        _, arguments, _ = json.loads(base64.b64decode(message["body"]))
        return ActionRequest.model_validate(arguments["action"])

    async def tell(self, body: dict[str, Any]) -> None:
        """Puts something into the queue of results."""

        def publish() -> None:
            with Connection(self.redis.url, transport_options=dict(TRANSPORT_OPTIONS)) as connection:
                connection.Producer().publish(body, routing_key=RESULTS, serializer="json")

        await asyncio.to_thread(publish)


@asynccontextmanager
async def neighbourhood(tmp_path: Path, **settings: Any) -> AsyncIterator[Neighbourhood]:
    """All of them, running; `settings` are dialogue's."""
    write_model(tmp_path)
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps({"accounts": ACCOUNTS, "clients": [CLIENT]}), encoding="utf-8")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(Redis(tmp_path / "redis"))
        common: dict[str, Any] = {"home": tmp_path, "redis_url": running.url, "drain_seconds": 0}
        stacks: dict[str, AsyncExitStack] = {}
        known: dict[str, str] = {}
        apps: dict[str, Callable[[], FastAPI]] = {
            "login": lambda: create_login(LoginSettings(**common, bootstrap_file=bootstrap, demo=True)),
            "intent": lambda: create_intent(
                IntentSettings(**common, static_services=known, inference_backend="openvino", inference_streams=1)
            ),
            "business": lambda: create_business(BusinessSettings(**common, static_services=known)),
        }
        for name, create in apps.items():
            stacks[name] = await stack.enter_async_context(AsyncExitStack())
            known[name] = (await stacks[name].enter_async_context(serve(create()))).address
        usual = {
            "resend_first_seconds": 0.5,
            "answer_seconds": 5,
            # Tests say in seconds what a person says in an hour.
            "messages_per_minute": 100_000,
            "messages_burst": 100_000,
            "conversations_per_minute": 100_000,
            "streams_at_once": 1000,
        }
        own = Settings(
            **common,
            static_services=known,
            client_id="dialogue",
            client_secret=SecretStr(str(CLIENT["client_secret"])),
            **usual | settings,
        )
        dialogue = await stack.enter_async_context(serve(create_app(own)))
        yield Neighbourhood(dialogue, stacks, running, known, own)


async def logged_in(calls: Calls, account: dict[str, Any]) -> str:
    """An access token of an account."""
    known = {"username": account["username"], "password": account["password"]}
    answer = await calls.post("/v1/auth/login", json=known)
    assert answer.status == 200, answer.text
    return str(answer.body["access_token"])


async def new_guest(calls: Calls) -> Customer:
    return await opened_by(calls, (await calls.post("/v1/auth/guest", json={})).body["access_token"])


async def opened_by(calls: Calls, token: str) -> Customer:
    """A new conversation of whoever the token is of."""
    opened = await calls.post("/v1/conversations", json={"language": "en"}, token=token)
    assert opened.status == 201
    return Customer(calls, token, opened.body["id"])
