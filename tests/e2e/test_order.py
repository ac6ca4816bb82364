"""Two dialogue replicas behind the registry, many conversations, each message at a random one."""

import asyncio
import random
from collections import Counter

import pytest

from tests.calls import calling
from tests.customers import Customer, customer
from tests.stack import RunningStack

SAID = ("你好", "thanks", "运费怎么算", "订单 20261103001 到哪了", "what can you do?")


@pytest.mark.parametrize(("conversations", "messages"), [(6, 8), pytest.param(50, 20, marks=pytest.mark.long)])
async def test_nothing_is_reordered_lost_or_doubled(stack: RunningStack, conversations: int, messages: int) -> None:
    if len(stack.dialogue_urls) < 2:
        await stack.add_dialogue()
    draw = random.Random(20261122)

    async def chat(number: int) -> None:
        async with customer(stack) as guest, calling(stack.dialogue_urls[1]) as other:
            replicas = [guest.calls, other]
            sent: list[str] = []
            for index in range(messages):
                guest.calls = draw.choice(replicas)
                name = f"m{number}-{index}"
                sent.append(name)
                answer = await guest.post(draw.choice(SAID), message_id=name)
                assert answer.status in (200, 202), answer.text
                if draw.random() < 0.1:
                    guest.calls = draw.choice(replicas)
                    await guest.post(answer.body["message"]["text"], message_id=name)
            await check(guest, sent)

    await asyncio.gather(*(chat(number) for number in range(conversations)))


async def test_messages_sent_all_at_once_are_answered_in_their_order(stack: RunningStack) -> None:
    if len(stack.dialogue_urls) < 2:
        await stack.add_dialogue()
    async with customer(stack) as guest, calling(stack.dialogue_urls[1]) as other:
        twins = [guest, Customer(other, guest.token, guest.conversation)]
        answers = await asyncio.gather(
            *(twins[number % 2].post(SAID[number % len(SAID)], message_id=f"m{number}") for number in range(20))
        )
        assert {answer.status for answer in answers} == {200}
        events = await guest.events()
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        answered = [event["in_reply_to"] for event in events if event["in_reply_to"]]
        assert answered == sorted(answered), "replies come in the order of the messages"
        messages = {event["seq"] for event in events if event["sender"] == "customer"}
        assert set(answered) == messages


async def check(guest: Customer, sent: list[str]) -> None:
    events = await guest.until(
        lambda seen: (
            {event["seq"] for event in seen if event["sender"] == "customer"}
            <= {event["in_reply_to"] for event in seen}
        )
    )
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    messages = [event for event in events if event["sender"] == "customer"]
    assert [event["message_id"] for event in messages] == sent
    names = Counter((event["in_reply_to"], event["data"].get("reply")) for event in events if event["in_reply_to"])
    assert max(names.values()) == 1, "no turn was answered twice"
