from tests.calls import Calls
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT


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


async def test_customers_do_not_read_the_desk(guest: Customer) -> None:
    assert (await guest.calls.get("/v1/handoffs", token=guest.token)).status == 403
    assert (await guest.calls.post(f"{guest.path}/replies", json={"text": "hi"}, token=guest.token)).status == 403
