"""Failures that are caused on purpose, and the promises that hold all the same."""

import asyncio
import sqlite3
import uuid

import aiohttp
import pytest
import redis.asyncio
from aiohttp import web

from cli.consul_process import passing
from cli.stack import SERVICES
from tests.customers import Customer, customer, texts
from tests.stack import RunningStack, eventually

REGISTERED_AGAIN_SECONDS = 15.0
REFUNDS = "SELECT refunds.id FROM refunds JOIN orders ON orders.id = refunds.order_id WHERE orders.number = ?"


def rows(stack: RunningStack, service: str, query: str, *arguments: str) -> list[tuple[object, ...]]:
    """What a service has committed."""
    with sqlite3.connect(f"file:{stack.home.data / service}.sqlite?mode=ro", uri=True) as connection:
        return connection.execute(query, arguments).fetchall()


async def accepted_refund(guest: Customer, order: str) -> int:
    await guest.say("我要退款")
    await guest.say(order)
    await guest.say("质量有问题，坏了")
    return int((await guest.say("确认"))[-1]["seq"])


@pytest.mark.long
async def test_the_worker_is_killed_in_the_middle_of_a_refund_and_it_happens_once(stack: RunningStack) -> None:
    await stack.restart("worker", extra={"ZHIYIN_FAULTS": '{"business.perform.before_commit": 50}'})
    async with customer(stack, username="hanmeimei") as guest:
        seq = await accepted_refund(guest, "20261104002")

        async def in_the_middle() -> bool:
            return "fault_point_reached" in stack.log("worker")

        await eventually(in_the_middle)
        await stack.kill("worker")
        assert rows(stack, "business", REFUNDS, "20261104002") == []
        await stack.start("worker")
        events = await guest.until(lambda seen: seen[-1]["seq"] > seq, 60)
        assert len(rows(stack, "business", REFUNDS, "20261104002")) == 1
        assert len(events) == seq + 1, "the customer is told once"


async def test_the_same_message_three_times_at_once_is_one_turn(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        for _ in range(5):
            before = len(await guest.events())
            name = uuid.uuid4().hex
            answers = await asyncio.gather(*(guest.post("你好", message_id=name) for _ in range(3)))
            assert {answer.status for answer in answers} == {200}
            assert answers[0].body == answers[1].body == answers[2].body
            after = await guest.events()
            assert len(after) - before == 1 + len(answers[0].body["replies"])
        answer = await guest.post("你好吗", message_id=name)
        assert answer.status == 409
        assert answer.body["errors"][0]["field"] == "message_id"


@pytest.mark.long
async def test_dialogue_is_killed_in_the_middle_of_a_turn_and_the_message_is_answered_once(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        await stack.restart("dialogue", extra={"ZHIYIN_FAULTS": '{"dialogue.turn.before_commit": 50}'})
        name = uuid.uuid4().hex
        asked = asyncio.create_task(guest.post("订单 20261103001 到哪了", message_id=name))

        async def in_the_middle() -> bool:
            return "fault_point_reached" in stack.log("dialogue")

        await eventually(in_the_middle)
        await stack.kill("dialogue")
        await asyncio.gather(asked, return_exceptions=True)
        await stack.start("dialogue")
        events = await guest.until(lambda seen: "SF1234567890" in texts(seen))
        again = await guest.post("订单 20261103001 到哪了", message_id=name)
        assert again.status == 200
        assert "SF1234567890" in texts(again.body["replies"])
        assert await guest.events() == events
        assert [event["message_id"] for event in events].count(name) == 1


async def test_redis_is_wiped_and_nothing_accepted_is_lost(stack: RunningStack) -> None:
    async with customer(stack, username="hanmeimei") as guest:
        await stack.stop("worker")
        await guest.say("取消订单 20261104003")
        seq = int((await guest.say("确认取消"))[-1]["seq"])
        before = await guest.events()
        client = redis.asyncio.Redis.from_url(stack.redis_url)
        await client.flushall()
        await client.aclose()
        assert await guest.events() == before
        await stack.start("worker")
        await guest.until(lambda seen: seen[-1]["seq"] > seq, 60)
        assert rows(stack, "business", "SELECT status FROM orders WHERE number = ?", "20261104003") == [("cancelled",)]


async def test_consul_stops_chat_goes_on_and_all_are_registered_again(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        await stack.kill("consul")
        for _ in range(3):
            assert "SF1234567890" in texts(await guest.say("订单 20261103001 到哪了"))
        stack.stack.prepare()  # and it comes back knowing nothing
        await stack.start("consul")

        async def all_registered() -> bool:
            return await passing(stack.stack.registry, set(SERVICES)) == set(SERVICES)

        await eventually(all_registered, REGISTERED_AGAIN_SECONDS, what="all registered again")
        assert "SF1234567890" in texts(await guest.say("订单 20261103001 到哪了"))


async def test_who_writes_to_consul_is_neither_login_nor_business_nor_intent(stack: RunningStack) -> None:
    """Not even with the management token: no password, no secret, no token, no question, no answer of theirs."""
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.json_response({"keys": [], "access_token": "of-a-stranger", "expires_in": 3600})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    token = {"X-Consul-Token": stack.bootstrap.consul.management}
    names = [f"{prefix}{name}" for prefix in ("zhiyin-", "") for name in ("login", "business", "intent")]
    async with aiohttp.ClientSession(stack.consul_url, headers=token, raise_for_status=True) as consul:
        for name in names:
            entry = {"Name": name, "ID": f"a-{name}", "Address": "127.0.0.1", "Port": port}
            await consul.put("/v1/agent/service/register", json=entry)
        for name in ("login", "dialogue"):
            # Who starts now has never known anything but this Consul.
            await stack.restart(name)
        await stack.until_passing(SERVICES)
        for _ in range(5):
            async with customer(stack, username="lilei") as person:
                assert "SF1234567890" in texts(await person.say("订单 20261103001 到哪了"))
        for name in names:
            await consul.put(f"/v1/agent/service/deregister/a-{name}")
    await runner.cleanup()
    assert heard == []


async def test_intent_stops_an_apology_is_given_a_person_offered_and_it_recovers(stack: RunningStack) -> None:
    async with customer(stack, language="en") as guest:
        await stack.kill("intent")
        replies = await guest.say("where is my order 20261103001?")
        assert "sorry" in texts(replies).lower()
        titles = [option["title"] for option in replies[-1]["options"]]
        assert titles, "a person is offered"
        handed = await guest.choose(replies, titles[0])
        assert handed
        await stack.start("intent")
        async with customer(stack, language="en") as another:

            async def understood() -> bool:
                return "SF1234567890" in texts(await another.say("where is my order 20261103001?"))

            await eventually(understood, what="recovery")


async def test_redis_stops_and_chat_goes_on(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        await stack.kill("redis")
        assert "SF1234567890" in texts(await guest.say("订单 20261103001 到哪了"))
        await stack.start("redis")
        assert "SF1234567890" in texts(await guest.say("订单 20261103001 到哪了"))
