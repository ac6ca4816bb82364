import asyncio

from services.dialogue.conversation.processor import TURNS_AT_ONCE
from tests.customers import Customer


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
