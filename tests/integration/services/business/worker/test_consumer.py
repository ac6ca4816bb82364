"""The worker beside a stranger who may write anything to Redis: nothing is done that SQL did not ask for."""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
import pytest
from celery import Celery
from redis.asyncio import Redis as RedisClient
from sqlalchemy import func, select

from services.business.models import ActionRecord, DeadLetter
from services.business.shop.models import Refund
from shared.storage.database import ALL_TENANTS
from tests.integration.services.business.shop import Shop

FORGED: dict[str, Any] = {
    "id": "forged-1",
    "tenant": "default",
    "name": "refund",
    "customer": "C1002",
    "conversation_id": "forged",
    "arguments": {"order_number": "20261104002", "reason": "forged"},
    "requested_at": "2026-11-30T00:00:00Z",
}
TASK = {"lang": "py", "task": "business.perform", "id": "1", "timelimit": [0.001, None], "eta": "2099-01-01T00:00:00Z"}
MESSAGE = {
    "body": "W1tdLCB7ImFjdGlvbiI6IHt9fSwge31d",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": TASK,
    "properties": {"delivery_tag": "1", "body_encoding": "base64", "delivery_info": {"routing_key": "actions"}},
}
MALFORMED: list[bytes | str] = [
    "not json", "", "null", "[]", "7", "{}", '"text"', b"\xff\xfe", "\x00", "{" * 5000, "[" * 100_000, "9" * 100_000,
    json.dumps(FORGED), json.dumps(MESSAGE), json.dumps({**MESSAGE, "body": "%%%"}), json.dumps({**MESSAGE, "body": 7}),
    json.dumps({"headers": {}}), json.dumps({**MESSAGE, "content-type": "application/x-python-serialize"}),
    json.dumps({**MESSAGE, "content-encoding": "rot13"}), json.dumps({**MESSAGE, "headers": {"task": "os.system"}}),
    json.dumps({"id": 7, "tenant": "default"}), json.dumps({"id": "a", "tenant": "*"}), json.dumps({"id": "x" * 65}),
    json.dumps({"id": "a b", "tenant": "default"}), json.dumps({"id": "a\x00", "tenant": "default"}),
]  # fmt: skip
UNKNOWN = [json.dumps({"id": each, "tenant": "default"}) for each in ("nobody.0", "forged-1", "..", "a:b")]


@pytest.fixture
async def working(shop: Shop) -> Shop:
    """A shop of its own with a worker."""
    await shop.start_worker()
    return shop


@pytest.fixture
async def stranger(working: Shop) -> AsyncIterator[RedisClient]:
    client = RedisClient.from_url(working.redis.url)
    yield client
    await client.aclose()


async def status(shop: Shop, path: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{shop.url}{path}") as answer:
        return answer.status


async def count(shop: Shop, column: Any) -> int:
    async with shop.database.reading(ALL_TENANTS) as session:
        return await session.scalar(select(func.count(column))) or 0


async def still_works(shop: Shop, order: str) -> None:
    """The worker answers, has one process still, and performs what is asked for."""
    request = shop.refund(order)
    await shop.send(request)
    assert (await shop.result(request)).status in ("succeeded", "awaiting_approval")
    assert await status(shop, "/health/ready") == 200
    assert await shop.metric("zhiyin_worker_restarts_total") == 0


async def test_what_a_stranger_writes_is_counted_and_does_nothing(working: Shop, stranger: RedisClient) -> None:
    shop = working
    for name in ("actions", shop.actions_key):
        await stranger.lpush(name, *MALFORMED, *UNKNOWN)

    await still_works(shop, "20261103003")

    assert await shop.paid() == 1
    assert await count(shop, Refund.id) == 1
    assert await count(shop, ActionRecord.id) == 1
    assert await count(shop, DeadLetter.id) == 0, "a stranger must not fill the table"

    async def counted() -> bool:
        return await shop.metric("zhiyin_worker_actions_total") > len(MALFORMED) + len(UNKNOWN)

    await shop.until(counted, "not every entry was counted")
    assert 1 <= shop.log.count("queue_entry_malformed") <= 3, "a stranger must not fill the log"
    assert "forged" not in shop.log


async def test_references_that_a_stranger_repeats_or_moves_to_another_tenant_do_nothing(
    working: Shop, stranger: RedisClient
) -> None:
    shop = working
    request = shop.refund("20261103003")
    await shop.send(request)
    await shop.result(request)

    await shop.send_raw(*[json.dumps({"id": request.id, "tenant": "default"})] * 20)
    await shop.send_raw(*[json.dumps({"id": request.id, "tenant": "other"})] * 20)

    await still_works(shop, "20261103002")
    record = await shop.record(request)
    assert record is not None
    assert (record.attempts, record.result_version) == (1, 1)


async def test_nobody_but_its_supervisor_stops_the_worker(working: Shop, stranger: RedisClient) -> None:
    shop = working
    for prefix in ("", "zhiyin:queue:"):
        app = Celery("stranger", broker=shop.redis.url, set_as_current=False)
        app.conf.broker_transport_options = {"global_keyprefix": prefix}
        try:
            assert app.control.ping(timeout=0.5) == []
            app.control.cancel_consumer("actions")
            app.control.rate_limit("business.perform", "1/h")
            app.control.time_limit("business.perform", hard=0.001)
            app.control.broadcast("pool_shrink", arguments={"n": 2})
            app.control.shutdown()
        finally:
            app.close()

    await still_works(shop, "20261103003")


@pytest.mark.parametrize("what", ["deleted", "bindings", "string", "hash", "wiped", "disconnected"])
async def test_it_goes_on_whatever_becomes_of_the_keys(working: Shop, stranger: RedisClient, what: str) -> None:
    shop = working
    key = shop.actions_key
    match what:
        case "deleted":
            await stranger.delete(key, "unacked", "unacked_index", "_kombu.binding.actions")
        case "bindings":
            for prefix in ("", "zhiyin:queue:"):
                await stranger.delete(f"{prefix}_kombu.binding.actions")
                await stranger.sadd(f"{prefix}_kombu.binding.actions", "actions\x06\x16\x06\x16elsewhere")
                await stranger.set(f"{prefix}unacked", "a string")
                await stranger.set(f"{prefix}unacked_mutex", "held")
        case "string":
            await stranger.set(key, "a string")
        case "hash":
            await stranger.hset(key, "a", "hash")
        case "wiped":
            await stranger.flushall()
        case "disconnected":
            await stranger.client_kill_filter(_type="normal", skipme=True)

    request = shop.refund("20261103003")
    await shop.send(request)
    assert (await shop.result(request)).status == "succeeded"

    async def ready() -> bool:
        return await status(shop, "/health/ready") == 200

    await shop.until(ready, "the worker is not ready")


async def test_redis_holds_no_word_of_a_customer_and_the_logs_neither(working: Shop, stranger: RedisClient) -> None:
    shop = working
    seen: list[Any] = []
    requests = [shop.action("open_ticket", subject=f"机密 secret {number}") for number in range(20)]
    for request in requests:
        await shop.send(request)
        async for key in stranger.scan_iter():
            seen.append(key)
            if await stranger.type(key) == b"list":
                seen += await stranger.lrange(key, 0, -1)
            else:
                seen.append(await stranger.get(key) or b"")
    for request in requests:
        await shop.until(partial(is_done, shop, request), "an action was not performed")

    written = b"\n".join(seen)
    for secret in ("机密", "secret", "C1001", "subject"):
        assert secret.encode() not in written
        assert secret not in shop.log
    async for key in stranger.scan_iter():
        assert key.startswith(b"zhiyin:")


async def is_done(shop: Shop, request: Any) -> bool:
    record = await shop.record(request)
    return record is not None and record.status == "succeeded"


async def test_every_line_of_the_log_is_json_and_names_the_request(working: Shop) -> None:
    shop = working
    request = shop.refund("20261103003").model_copy(update={"request_id": "the-customers-request"})
    await shop.send(request)
    await shop.result(request)
    assert shop.worker is not None
    await shop.worker.stop(20)

    lines = [json.loads(line) for line in shop.log.splitlines() if line.strip()]
    (closed,) = [line for line in lines if line["event"] == "action_closed"]
    assert closed["request_id"] == "the-customers-request"
    assert (closed["action"], closed["conversation"]) == (request.id, "conversation-1")
    assert {"event", "level", "service", "timestamp"} <= {key for line in lines for key in line}
