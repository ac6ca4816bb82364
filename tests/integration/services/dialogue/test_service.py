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

import pytest
import redis.asyncio
from fastapi import FastAPI
from kombu import Connection
from pydantic import SecretStr

from services.business.app import create_app as create_business
from services.business.settings import Settings as BusinessSettings
from services.dialogue.app import create_app
from services.dialogue.conversation.processor import TURNS_AT_ONCE
from services.dialogue.settings import Settings
from services.intent.app import create_app as create_intent
from services.intent.settings import Settings as IntentSettings
from services.login.app import create_app as create_login
from services.login.settings import Settings as LoginSettings
from shared.contracts.actions import ActionRequest, ActionResult
from shared.queue.celery import ACTIONS, RESULTS, TRANSPORT_OPTIONS
from tests.calls import Calls, calling
from tests.customers import Customer, texts
from tests.externals import Redis
from tests.models import write_model
from tests.servers import RunningServer, serve
from tests.stack import eventually

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
            "login": lambda: create_login(LoginSettings(**common, bootstrap_file=bootstrap)),
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


@pytest.fixture(scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Neighbourhood]:
    """Shared by tests that leave it as they found it."""
    async with neighbourhood(tmp_path_factory.mktemp("around")) as running:
        yield running


@pytest.fixture
async def calls(around: Neighbourhood) -> AsyncIterator[Calls]:
    async with calling(around.dialogue.base_url) as calls:
        yield calls


@pytest.fixture
async def guest(calls: Calls) -> Customer:
    return await new_guest(calls)


async def new_guest(calls: Calls) -> Customer:
    token = (await calls.post("/v1/auth/guest", json={})).body["access_token"]
    opened = await calls.post("/v1/conversations", json={"language": "en"}, token=token)
    assert opened.status == 201
    return Customer(calls, token, opened.body["id"])


def result_of(action: ActionRequest, status: str, version: int, **data: Any) -> dict[str, Any]:
    result = ActionResult.model_validate(
        {
            "action_id": action.id,
            "tenant": action.tenant,
            "name": action.name,
            "conversation_id": action.conversation_id,
            "status": status,
            "version": version,
            "data": data,
        }
    )
    return result.model_dump(mode="json")


ITEM = {"zh": "机械键盘", "en": "mechanical keyboard"}


async def asked_for_a_refund(guest: Customer) -> int:
    await guest.say("refund money")
    await guest.say("20261103004")
    await guest.say("the keys stick")
    options = (await guest.events())[-1]["options"]
    return int((await guest.say(options[0]["title"], choice=options[0]["id"]))[-1]["seq"])


async def test_an_action_is_sent_until_its_final_result_is_here(around: Neighbourhood, guest: Customer) -> None:
    seq = await asked_for_a_refund(guest)
    action = await around.waiting_action()
    assert (action.name, action.customer) == ("refund", "C1001")
    assert (await around.waiting_action()).id == action.id, "no result yet, so it is sent again"
    await around.tell(result_of(action, "awaiting_approval", 1, order_number="20261103004", item=ITEM, amount=1299.0))
    events = await guest.until(lambda seen: len(seen) == seq + 1)
    await around.tell(result_of(action, "awaiting_approval", 1, order_number="20261103004", item=ITEM, amount=1299.0))
    await around.tell({"what": "ever"})
    await around.tell(result_of(action.model_copy(update={"id": "nobody.0"}), "succeeded", 1))
    await around.tell(result_of(action, "succeeded", 2, order_number="20261103004", item=ITEM, amount=1299.0))
    events = await guest.until(lambda seen: len(seen) >= seq + 2)
    assert [event["seq"] for event in events] == list(range(1, seq + 3)), "each result is told once"
    assert "1,299" in texts(events[-1:])


async def test_rest_long_poll_and_stream_tell_the_same(guest: Customer) -> None:
    async with guest.stream() as live:
        last = (await guest.events())[-1]["seq"]
        poll = asyncio.create_task(guest.calls.get(f"{guest.path}/events?after={last}&wait=20", token=guest.token))
        await guest.say("where is my parcel")
        first = (await poll).body["events"][0]
        events = await guest.events()
        assert first == events[last]
        assert [await asyncio.wait_for(live.get(), 10) for _ in events] == events
    async with guest.stream(after=last) as resumed:
        assert (await asyncio.wait_for(resumed.get(), 10))["seq"] == last + 1


async def test_more_messages_at_once_than_there_are_turns_at_once(guest: Customer) -> None:
    """Three in each of many conversations: each is answered with the replies that stand behind it in the transcript."""

    async def another() -> Customer:
        opened = await guest.calls.post("/v1/conversations", json={"language": "en"}, token=guest.token)
        return Customer(guest.calls, guest.token, opened.body["id"])

    customers = await asyncio.gather(*(another() for _ in range(TURNS_AT_ONCE + 4)))
    answers = await asyncio.gather(*(each.post("refund money") for each in customers * 3))
    assert {answer.status for answer in answers} == {200}
    for number, each in enumerate(customers):
        events = await each.events()
        own = answers[number :: len(customers)]
        assert {answer.body["message"]["seq"] for answer in own} == {
            event["seq"] for event in events if event["kind"] == "message"
        }
        for answer in own:
            seq = answer.body["message"]["seq"]
            assert answer.body["replies"]
            assert answer.body["replies"] == [event for event in events if event["in_reply_to"] == seq]


async def test_neighbours_that_are_gone(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as around, calling(around.dialogue.base_url) as calls:
        guest = await new_guest(calls)
        await around.stop("business")
        assert texts(await guest.say("where is 20261103001"))
        await around.stop("intent")
        replies = await guest.say("hello")
        assert replies[-1]["options"], "a person is offered"
        handed = await guest.say(replies[-1]["options"][0]["title"], choice=replies[-1]["options"][0]["id"])
        assert handed
        view = await guest.calls.get(guest.path, token=guest.token)
        assert view.body["status"] == "waiting_for_agent"
        await around.stop("login")
        refused = await guest.calls.post("/v1/auth/guest", json={})
        assert refused.status == 503
        assert (await guest.events())[-1]["seq"] == handed[-1]["seq"], "who is logged in stays so while login is away"


async def test_the_desk_reads_what_was_handed_over_and_answers(calls: Calls, guest: Customer) -> None:
    login = {"username": AGENT["username"], "password": AGENT["password"]}
    agent = (await calls.post("/v1/auth/login", json=login)).body["access_token"]
    assert (await calls.post(f"{guest.path}/replies", json={"text": "hi"}, token=agent)).status == 404
    replies = await guest.say("weather football")
    option = next(option for option in replies[-1]["options"])
    await guest.say(option["title"], choice=option["id"])
    (handoff,) = (await calls.get("/v1/handoffs", token=agent)).body
    assert handoff["conversation_id"] == guest.conversation
    said = await calls.post(f"{guest.path}/replies", json={"text": "I am here", "close": True}, token=agent)
    assert said.status == 201
    assert (await guest.events())[-1]["text"] == "I am here"
    assert (await calls.get("/v1/handoffs", token=agent)).body == []
    traces = (await calls.get(f"{guest.path}/traces", token=agent)).body
    assert [trace["trigger"] for trace in traces][:2] == ["opened", "message:2"]
    assert set(traces[1]["seconds"]) >= {"accept", "understand", "decide"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "hello"}, "message_id"),
        ({"message_id": "m", "text": ""}, "text"),
        ({"message_id": "m", "text": " \n "}, "text"),
        ({"message_id": "m", "text": "a\u0000b"}, "text"),
        ({"message_id": "m", "text": "x" * 2001}, "text"),
        ({"message_id": "m", "text": ["hello"]}, "text"),
        ({"message_id": "m m", "text": "hello"}, "message_id"),
        ({"message_id": "m", "text": "hello", "choice": ""}, "choice"),
        ({"message_id": "m", "text": "hello", "more": 1}, "more"),
    ],
)
async def test_bad_messages_name_the_field_and_change_nothing(
    guest: Customer, body: dict[str, Any], field: str
) -> None:
    before = await guest.events()
    answer = await guest.calls.post(f"{guest.path}/messages", json=body, token=guest.token)
    assert answer.status == 422
    assert answer.content_type == "application/problem+json"
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert await guest.events() == before


@pytest.mark.parametrize("text", ["20261103001 到哪了 😀", "first\nsecond"])
async def test_a_message_is_answered_the_same_with_and_without_the_framework(guest: Customer, text: str) -> None:
    said = await guest.post(text, message_id="said-twice")
    body = json.dumps({"message_id": "said-twice", "text": text})
    ordinary = {"Content-Type": "application/json; charset=utf-8"}
    again = await guest.calls.post(f"{guest.path}/messages", data=body, token=guest.token, headers=ordinary)
    assert (again.status, again.content_type) == (said.status, said.content_type) == (200, "application/json")
    assert again.body == said.body
    assert set(again.headers) == set(said.headers)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_another_text_with_an_id_that_was_used_is_refused(guest: Customer, content_type: str) -> None:
    await guest.post("hello", message_id="once")
    body = json.dumps({"message_id": "once", "text": "another"})
    answer = await guest.calls.post(
        f"{guest.path}/messages", data=body, token=guest.token, headers={"Content-Type": content_type}
    )
    assert (answer.status, answer.content_type) == (409, "application/problem+json")
    assert answer.body["errors"][0]["field"] == "message_id"


async def test_bad_requests(guest: Customer) -> None:
    calls, token = guest.calls, guest.token
    assert (await calls.post("/v1/conversations", json={"assistant": "nobody"}, token=token)).status == 422
    assert (await calls.post("/v1/conversations", json={"language": "fr"}, token=token)).status == 422
    assert (await calls.post(f"{guest.path}/messages", data="{", token=token)).status == 400
    lone = '{"message_id": "m", "text": "\\ud800"}'
    assert (await calls.post(f"{guest.path}/messages", data=lone, token=token)).status in (400, 422)
    assert (await calls.get("/v1/conversations/none", token=token)).status == 404
    assert (await calls.get(guest.path)).status == 401
    assert (await calls.get("/v1/handoffs", token=token)).status == 403
    assert (await calls.post("/v1/auth/nothing", json={})).status == 422
    page = await calls.get("/")
    assert page.status == 200
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    listed = await calls.get("/v1/conversations", token=token)
    assert [each["id"] for each in listed.body] == [guest.conversation]
