"""What a new user does, through every service: login, dialogue, intent, business, the queue, and back."""

import asyncio
import re

from tests.calls import calling
from tests.customers import Customer, Event, customer, log_in, texts
from tests.stack import RunningStack


async def test_where_is_my_parcel_asks_which_order_and_tells_of_the_real_one(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        replies = await guest.say("我的快递到哪了？")
        assert any("20261103001" in option["title"] for option in replies[-1]["options"]), replies
        replies = await guest.say("20261103001")
        assert "上海" in texts(replies)
        assert "SF1234567890" in texts(replies)


async def test_the_order_is_taken_from_the_text(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        assert "上海" in texts(await guest.say("订单 20261103001 到哪了"))
    async with customer(stack, language="en") as guest:
        assert "SF1234567890" in texts(await guest.say("where is my order 20261103001?"))


async def test_somebody_elses_order_is_as_unknown_as_one_that_does_not_exist(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        theirs = texts(await guest.say("订单 20261104001 到哪了"))
    async with customer(stack) as guest:
        none = texts(await guest.say("订单 20269999999 到哪了"))
    assert theirs.replace("20261104001", "N") == none.replace("20269999999", "N")


async def refund(guest: Customer, order: str) -> list[Event]:
    await guest.say("I want my money back")
    await guest.say(order)
    replies = await guest.say("it is broken, the sound does not work")
    assert order in texts(replies)
    assert len(replies[-1]["options"]) == 2, "yes or no"
    return await guest.say("yes, please")


async def test_a_refund_within_the_rules_is_accepted_at_once_and_done_a_moment_later(stack: RunningStack) -> None:
    async with customer(stack, language="en") as guest:
        async with guest.stream() as live:
            accepted = await refund(guest, "20261103003")
            events = await guest.until(lambda seen: seen[-1]["seq"] > accepted[-1]["seq"])
            assert "89.9" in texts(events)
            heard = [await asyncio.wait_for(live.get(), 10) for _ in events]
        assert heard == events, "the stream and REST tell the same"
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert await guest.events(after=3) == events[3:]
        again = texts(await guest.say("refund 20261103003"))
        assert "can't be refunded" in again


async def test_a_large_refund_waits_for_a_person_who_approves_it(stack: RunningStack) -> None:
    async with customer(stack, language="en") as guest:
        accepted = await refund(guest, "20261103004")
        waiting = await guest.until(lambda seen: seen[-1]["seq"] > accepted[-1]["seq"])
        action = f"{guest.conversation}.0"
        async with calling(stack.url) as gateway, calling(stack.url_of("business")) as business:
            agent = await log_in(stack, gateway, "agent")
            listed = await business.get("/v1/approvals", token=agent)
            assert action in listed.text
            assert (await business.get("/v1/approvals", token=guest.token)).status == 401
            answer = await business.post(f"/v1/approvals/{action}", json={"decision": "approve"}, token=agent)
            assert answer.status == 200, answer.text
        done = await guest.until(lambda seen: seen[-1]["seq"] > waiting[-1]["seq"])
        assert "1299" in texts(done[len(waiting) :]).replace(",", "")


async def test_an_address_is_checked_and_changed_in_the_middle_of_another_language(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        await guest.say("帮我改一下收货地址")
        await guest.say("20261103002")
        await guest.say("浙江省杭州市西湖区文三路478号华星时代广场A座1203室")
        accepted = await guest.say("ok, yes")
        done = await guest.until(lambda seen: seen[-1]["seq"] > accepted[-1]["seq"])
        assert "478" in texts(done)


async def test_never_mind_and_a_correction_and_a_digression(stack: RunningStack) -> None:
    async with customer(stack) as guest:
        await guest.say("我要退货")
        await guest.say("20261103003")
        replies = await guest.say("不对，是另一个订单，20261103005")
        assert "20261103005" in texts(replies) or "双肩包" in texts(replies)
        digression = texts(await guest.say("运费怎么算"))
        assert "99" in digression
        stopped = await guest.say("算了")
        assert not any("20261103005" in option["title"] for reply in stopped for option in reply["options"])
        assert "SF1234567890" in texts(await guest.say("订单 20261103001 到哪了"))


async def test_out_of_scope_is_said_honestly_and_a_person_is_offered(stack: RunningStack) -> None:
    async with customer(stack, language="en") as guest:
        replies = await guest.say("what will the weather be like in Paris tomorrow?")
        assert replies[-1]["options"]
        assert re.search(r"can't|cannot|not able|sorry", texts(replies), re.IGNORECASE)


async def test_a_person_is_asked_for_and_answers(stack: RunningStack) -> None:
    async with customer(stack) as guest, calling(stack.url) as gateway:
        stranger = await log_in(stack, gateway, "agent")
        assert (await gateway.get(f"{guest.path}/events", token=stranger)).status == 404
        await guest.say("转人工")
        agent = await log_in(stack, gateway, "agent")
        queue = await gateway.get("/v1/handoffs?limit=200", token=agent)
        handoff = next(each["id"] for each in queue.body["handoffs"] if each["conversation_id"] == guest.conversation)
        assert (await gateway.get("/v1/handoffs", token=guest.token)).status == 403
        assert (await gateway.get(f"{guest.path}/events", token=agent)).status == 404
        assert (await gateway.post(f"/v1/handoffs/{handoff}/claim", token=agent)).status == 200
        assert (await gateway.get(f"{guest.path}/events", token=agent)).status == 200
        traces = await gateway.get(f"{guest.path}/traces", token=agent)
        assert traces.status == 200
        assert "转人工" not in traces.text, "a trace names the message and does not repeat it"
        assert any((trace["understanding"] or {}).get("intent", {}).get("name") == "ask_human" for trace in traces.body)
        answer = await gateway.post(
            f"{guest.path}/replies", json={"text": "您好，我是小王", "close": True}, token=agent
        )
        assert answer.status == 201, answer.text
        events = await guest.events()
        assert (events[-1]["sender"], events[-1]["text"]) == ("agent", "您好，我是小王")
        assert guest.conversation not in (await gateway.get("/v1/handoffs?limit=200", token=agent)).text
        assert (await gateway.get(f"{guest.path}/traces", token=agent)).status == 404
        assert await guest.say("你好")
        await guest.say("转人工")
        assert guest.conversation in (await gateway.get("/v1/handoffs?limit=200", token=agent)).text


async def test_the_transcript_is_its_customers_alone(stack: RunningStack) -> None:
    async with customer(stack) as mine, customer(stack) as theirs:
        for path in (mine.path, f"{mine.path}/events", f"{mine.path}/stream"):
            assert (await theirs.calls.get(path, token=theirs.token)).status == 404
            assert (await theirs.calls.get(path)).status == 401
        answer = await theirs.calls.post(
            f"{mine.path}/messages", json={"message_id": "x", "text": "hello"}, token=theirs.token
        )
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        listed = await theirs.calls.get("/v1/conversations", token=theirs.token)
        assert [each["id"] for each in listed.body] == [theirs.conversation]


async def test_long_polling_wakes_when_something_is_said(stack: RunningStack) -> None:
    async with customer(stack, language="en") as guest:
        last = (await guest.events())[-1]["seq"]
        poll = asyncio.create_task(guest.calls.get(f"{guest.path}/events?after={last}&wait=25", token=guest.token))
        await guest.say("hello")
        answer = await asyncio.wait_for(poll, 10)
        assert answer.body["events"][0]["text"] == "hello"
