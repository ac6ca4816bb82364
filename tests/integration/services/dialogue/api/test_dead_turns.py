"""Operators see turns that were given up, have them tried again, or dismiss them."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.storage.database import Database
from tests.calls import Answer, Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import OPERATOR, neighbourhood, new_guest
from tests.integration.services.dialogue.poison import poison, repair


@dataclass
class Operator:
    """Somebody with the role, and a guest."""

    calls: Calls
    token: str
    guest: Customer
    database: Database

    async def list(self, query: str = "") -> Any:
        answer = await self.calls.get(f"/v1/dead-turns{query}", token=self.token)
        assert answer.status == 200, answer.text
        return answer.body

    async def post(self, path: str, **json: Any) -> Answer:
        return await self.calls.post(f"/v1/dead-turns/{path}", json=json, token=self.token)

    async def given_up(self, customer: Customer) -> str:
        """The id of a message on which the turn was given up."""
        name = uuid.uuid4().hex
        await poison(self.database, customer.conversation, "refused_by_the_store")
        await customer.post("hello", message_id=name)
        await customer.until(lambda seen: seen[-1]["data"].get("reply") == "turn_failed")
        return name


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    soon = {"turn_attempts": 2, "retry_first_seconds": 0.05, "retry_most_seconds": 0.1}
    async with neighbourhood(tmp_path, **soon) as around, calling(around.dialogue.base_url) as calls:
        login = {"username": OPERATOR["username"], "password": OPERATOR["password"]}
        token = (await calls.post("/v1/auth/login", json=login)).body["access_token"]
        yield Operator(calls, token, await new_guest(calls), around.dialogue.app.state.database)


async def test_a_turn_is_tried_again_once_its_cause_is_gone(operator: Operator) -> None:
    guest = operator.guest
    name = await operator.given_up(guest)
    (letter,) = (await operator.list())["dead_turns"]
    assert (letter["conversation_id"], letter["status"], letter["attempts"]) == (guest.conversation, "waiting", 2)
    assert "IntegrityError" in letter["error"]
    await repair(operator.database, guest.conversation)
    retried = await operator.post(f"{letter['id']}/retry")
    assert (retried.status, retried.body["status"]) == (202, "retried")
    assert retried.body["settled_by"]
    apologies = 1
    events = await guest.until(lambda seen: sum(each["in_reply_to"] == letter["seq"] for each in seen) > apologies)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (await guest.calls.get(guest.path, token=guest.token)).body["status"] == "open"
    again = await guest.post("hello", message_id=name)
    assert len(again.body["replies"]) > apologies
    assert (await operator.post(f"{letter['id']}/retry")).status == 409


async def test_it_is_dismissed_with_a_reason(operator: Operator) -> None:
    await operator.given_up(operator.guest)
    (letter,) = (await operator.list())["dead_turns"]
    assert (await operator.post(f"{letter['id']}/dismiss")).status == 422
    assert (await operator.post(f"{letter['id']}/dismiss", reason=" ")).status == 422
    assert (await operator.post(f"{letter['id']}/dismiss", reason="a\u0000b")).status == 422
    dismissed = await operator.post(f"{letter['id']}/dismiss", reason="they called")
    assert (dismissed.status, dismissed.body["status"], dismissed.body["reason"]) == (200, "dismissed", "they called")
    assert (await operator.post(f"{letter['id']}/dismiss", reason="again")).status == 409
    assert (await operator.post(f"{letter['id']}/retry")).status == 409
    assert [each["status"] for each in (await operator.list())["dead_turns"]] == ["dismissed"], "it stays on record"


async def test_the_list_has_pages(operator: Operator) -> None:
    for _ in range(3):
        opened = await operator.calls.post("/v1/conversations", json={"language": "en"}, token=operator.guest.token)
        await operator.given_up(Customer(operator.calls, operator.guest.token, opened.body["id"]))
    first = await operator.list("?limit=2")
    assert (len(first["dead_turns"]), first["next_after"]) == (2, first["dead_turns"][1]["id"])
    second = await operator.list(f"?limit=2&after={first['next_after']}")
    assert (len(second["dead_turns"]), second["next_after"]) == (1, None)
    assert (await operator.post("999/retry")).status == 404


async def test_it_is_for_operators_alone(calls: Calls, guest: Customer) -> None:
    assert (await calls.get("/v1/dead-turns", token=guest.token)).status == 403
    assert (await calls.post("/v1/dead-turns/1/retry", json={}, token=guest.token)).status == 403
    assert (await calls.post("/v1/dead-turns/1/dismiss", json={"reason": "x"}, token=guest.token)).status == 403
