"""The dialogue service with real neighbours: login, intent and business over HTTP, Redis and its queue.

The model is a tiny one whose answers can be foretold; the test itself takes the worker's place at the queue.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
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

__all__ = ["AGENT", "Neighbourhood", "neighbourhood", "new_guest"]

CLIENT = {
    "client_id": "dialogue",
    "client_secret": "a secret of the test",
    "scopes": ["intent:predict", "business:lookup"],
}
AGENT = {"username": "agent", "password": "a password of the test", "roles": ["agent"], "display_name": "Agent"}


@dataclass
class Neighbourhood:
    """Everything around one customer."""

    dialogue: RunningServer
    servers: dict[str, AsyncExitStack]
    redis: Redis

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
async def neighbourhood(tmp_path: Path) -> AsyncIterator[Neighbourhood]:
    write_model(tmp_path)
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps({"accounts": [AGENT], "clients": [CLIENT]}), encoding="utf-8")
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
        settings = Settings(
            **common,
            static_services=known,
            client_id="dialogue",
            client_secret=SecretStr(str(CLIENT["client_secret"])),
            resend_first_seconds=0.5,
            answer_seconds=5,
        )
        dialogue = await stack.enter_async_context(serve(create_app(settings)))
        yield Neighbourhood(dialogue, stacks, running)


async def new_guest(calls: Calls) -> Customer:
    token = (await calls.post("/v1/auth/guest", json={})).body["access_token"]
    opened = await calls.post("/v1/conversations", json={"language": "en"}, token=token)
    assert opened.status == 201
    return Customer(calls, token, opened.body["id"])
