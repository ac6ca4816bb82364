import json
from typing import Any

import pytest
from redis.asyncio import Redis as RedisClient
from sqlalchemy import func, select

from services.dialogue.conversation.models import DeadLetter, OutboxRow
from shared.contracts.actions import ActionRequest
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import Neighbourhood
from tests.stack import eventually

ITEM = {"zh": "机械键盘", "en": "mechanical keyboard"}
REFUND = {"order_number": "20261103004", "item": ITEM, "amount": 1299.0}


async def asked_for_a_refund(guest: Customer) -> int:
    await guest.say("refund money")
    await guest.say("20261103004")
    await guest.say("the keys stick")
    options = (await guest.events())[-1]["options"]
    return int((await guest.say(options[0]["title"], choice=options[0]["id"]))[-1]["seq"])


async def row_of(around: Neighbourhood, action: ActionRequest) -> OutboxRow:
    async with around.outbox.reading(action.tenant) as session:
        row = await session.get(OutboxRow, action.id)
    assert row is not None
    return row


async def test_each_version_of_a_result_is_told_once(around: Neighbourhood, guest: Customer) -> None:
    seq = await asked_for_a_refund(guest)
    action = await around.waiting_action()
    assert (action.name, action.customer) == ("refund", "C1001")
    assert action.request_id is not None
    await around.perform(action, "awaiting_approval", **REFUND)
    await guest.until(lambda seen: len(seen) == seq + 1)
    await around.perform(action, "succeeded", **REFUND)
    events = await guest.until(lambda seen: len(seen) >= seq + 2)
    assert [event["seq"] for event in events] == list(range(1, seq + 3)), "each result is told once"
    assert "1,299" in texts(events[-1:])

    async def done() -> bool:
        return (await row_of(around, action)).done

    await eventually(done, what="the end of the action")


async def test_a_result_is_found_without_the_queue(around: Neighbourhood, guest: Customer) -> None:
    seq = await asked_for_a_refund(guest)
    action = await around.waiting_action()
    async with RedisClient.from_url(around.redis.url) as stranger:
        # A queue that is no list takes no news.
        await stranger.set("zhiyin:queue:results", "a string")
        await around.perform(action, "succeeded", **REFUND)
        await stranger.flushall()
    events = await guest.until(lambda seen: len(seen) >= seq + 1)
    assert "1,299" in texts(events[-1:])


async def test_what_a_stranger_says_of_results_changes_no_reply(around: Neighbourhood, guest: Customer) -> None:
    seq = await asked_for_a_refund(guest)
    action = await around.waiting_action()
    forged = {
        "action_id": action.id, "tenant": "default", "name": "refund", "conversation_id": action.conversation_id,
        "status": "succeeded", "version": 99, "data": {"amount": 1.0, "item": {"zh": "FORGED", "en": "FORGED"}},
    }  # fmt: skip
    known = {"id": action.id, "tenant": "default"}
    entries: list[Any] = [
        "not json", "", "null", "[]", "{}", b"\xff", "[" * 100_000, json.dumps(forged), json.dumps({"result": forged}),
        json.dumps(known), json.dumps({**known, "result": forged}), json.dumps({**known, "tenant": "other"}),
        json.dumps({**known, "tenant": "*"}), json.dumps({"id": "nobody.0", "tenant": "default"}),
    ]  # fmt: skip
    await around.tell(*entries * 5)

    await around.perform(action, "succeeded", **REFUND)
    events = await guest.until(lambda seen: len(seen) >= seq + 1)
    await around.tell(*[json.dumps(known)] * 20)
    await guest.say("hello")

    assert "1,299" in texts(events[-1:])
    told = texts(await guest.events())
    assert "FORGED" not in told
    assert told.count("1,299") == texts(events).count("1,299")

    async def settled() -> bool:
        row = await row_of(around, action)
        return row.done and row.result_version == 1

    await eventually(settled, what="the end of the action")
    async with around.outbox.reading("default") as session:
        assert not await session.scalar(select(func.count(DeadLetter.id)))


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_the_reader_of_results_survives_everything(around: Neighbourhood, guest: Customer, path: str) -> None:
    await around.tell("not json", b"\x80", "{}")
    assert (await guest.calls.get(path)).status == 200
