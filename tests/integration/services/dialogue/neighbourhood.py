"""The dialogue service with real neighbours: login, intent and business over HTTP, Redis and its queue.

The model is a tiny one whose answers can be foretold; the test itself takes the worker's place at the queue.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis as RedisClient

from services.business.actions.results import close
from services.business.app import create_app as create_business
from services.business.repository import find_action
from services.business.settings import Settings as BusinessSettings
from services.dialogue.app import create_app
from services.dialogue.settings import Settings
from services.intent.app import create_app as create_intent
from services.intent.settings import Settings as IntentSettings
from services.login.app import create_app as create_login
from services.login.settings import Settings as LoginSettings
from shared.contracts.actions import ActionRequest, ActionStatus
from shared.queue.references import ACTIONS, RESULTS, References, queue_prefix
from shared.storage.database import Database, now
from tests.calls import Answer, Calls
from tests.customers import Customer
from tests.externals import Redis
from tests.models import write_model
from tests.servers import RunningServer, serve

__all__ = [
    "ADMIN",
    "AGENT",
    "BEN",
    "CUSTOMER",
    "OPERATOR",
    "SUPERVISOR",
    "Neighbourhood",
    "arrive",
    "customer_of",
    "logged_in",
    "neighbourhood",
    "new_guest",
    "new_visit",
    "opened_by",
]

ACTION_SECONDS = 30.0
CLIENT = {
    "client_id": "dialogue",
    "client_secret": "a secret of the test",
    "scopes": ["intent:predict", "business:lookup", "business:actions", "login:gateway"],
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

    ledger: Database
    """Business's own."""
    outbox: Database
    """Dialogue's own."""

    def another(self, **changes: Any) -> FastAPI:
        """A second dialogue among the same neighbours, with other settings."""
        return create_app(self.settings.model_copy(update=changes))

    async def stop(self, service: str) -> None:
        """Ends a neighbour."""
        await self.servers.pop(service).aclose()

    async def waiting_action(self) -> ActionRequest:
        """The action whose reference lies in the queue, taken off it."""
        queue = References(self.redis.url, "zhiyin", ACTIONS)
        try:
            async with asyncio.timeout(ACTION_SECONDS):
                while (reference := await queue.pop(1.0)) is None:
                    pass
        finally:
            await queue.close()
        async with self.ledger.reading(reference.tenant) as session:
            record = await find_action(session, reference.id)
        assert record is not None
        return ActionRequest.model_validate(record.request)

    async def perform(self, action: ActionRequest, status: ActionStatus, **data: Any) -> None:
        """Closes the action in the ledger, as the worker does; business tells that there is news."""
        async with self.ledger.transaction(action.tenant) as session:
            record = await find_action(session, action.id, lock=True)
            assert record is not None
            close(record, now(), status=status, data=data, error_code=None)
            record.resend_at = now()

    async def tell(self, *entries: bytes | str) -> None:
        """Puts anything into the queue of results, as a stranger may."""
        async with RedisClient.from_url(self.redis.url) as stranger:
            await stranger.lpush(queue_prefix("zhiyin") + RESULTS, *entries)


@asynccontextmanager
async def neighbourhood(tmp_path: Path, **settings: Any) -> AsyncIterator[Neighbourhood]:
    """All of them, running; `settings` are dialogue's."""
    write_model(tmp_path)
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps({"accounts": ACCOUNTS, "clients": [CLIENT]}), encoding="utf-8")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(Redis(tmp_path / "redis"))
        common: dict[str, Any] = {"home": tmp_path, "drain_seconds": 0}
        stacks: dict[str, AsyncExitStack] = {}
        known: dict[str, str] = {}
        apps: dict[str, Callable[[], FastAPI]] = {
            "login": lambda: create_login(
                LoginSettings(**common, redis_url=running.url_of("login"), bootstrap_file=bootstrap, demo=True)
            ),
            "intent": lambda: create_intent(
                IntentSettings(**common, static_services=known, inference_backend="openvino", inference_streams=1)
            ),
            "business": lambda: create_business(
                BusinessSettings(
                    **common, redis_url=running.url_of("business"), static_services=known, relay_seconds=0.1
                )
            ),
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
            redis_url=running.url_of("dialogue"),
            static_services=known,
            client_id="dialogue",
            client_secret=SecretStr(str(CLIENT["client_secret"])),
            **usual | settings,
        )
        dialogue = await stack.enter_async_context(serve(create_app(own)))
        ledger, outbox = (Database(own.database(each)) for each in ("business", "dialogue"))
        stack.push_async_callback(ledger.close)
        stack.push_async_callback(outbox.close)
        yield Neighbourhood(dialogue, stacks, running, known, own, ledger, outbox)


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


def new_visit() -> str:
    """A visit's own name."""
    return uuid.uuid4().hex


async def arrive(calls: Calls, **visit: Any) -> Answer:
    """What a page asks for first."""
    return await calls.post("/v1/visits", json={"visit_id": new_visit(), "language": "en", **visit})


def customer_of(calls: Calls, visit: Answer) -> Customer:
    """Whoever a visit was answered to."""
    return Customer(calls, visit.body["access_token"], visit.body["conversation"]["id"])
