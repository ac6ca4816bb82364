import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.calls import Answer, Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import (
    ADMIN,
    AGENT,
    BEN,
    CUSTOMER,
    SUPERVISOR,
    Neighbourhood,
    logged_in,
    new_guest,
    opened_by,
)


@dataclass
class Staff:
    """Someone at the desk."""

    calls: Calls
    token: str

    async def get(self, path: str) -> Answer:
        return await self.calls.get(path, token=self.token)

    async def post(self, path: str, **body: Any) -> Answer:
        return await self.calls.post(path, json=body or None, token=self.token)

    async def do(self, what: str, handoff: int, **body: Any) -> Answer:
        return await self.post(f"/v1/handoffs/{handoff}/{what}", **body)

    async def reply(self, customer: Customer, text: str, **more: Any) -> Answer:
        return await self.post(f"{customer.path}/replies", text=text, **more)


@pytest.fixture
async def agent(calls: Calls) -> Staff:
    return Staff(calls, await logged_in(calls, AGENT))


@pytest.fixture
async def ben(calls: Calls) -> Staff:
    return Staff(calls, await logged_in(calls, BEN))


@pytest.fixture
async def supervisor(calls: Calls) -> Staff:
    return Staff(calls, await logged_in(calls, SUPERVISOR))


async def ask_for_a_person(customer: Customer) -> None:
    await customer.say("a person please", choice="intent:ask_human")


async def queued(staff: Staff, customer: Customer) -> dict[str, Any]:
    """The customer's open hand-off as it stands in the queue, page by page."""
    after = 0
    while True:
        page = (await staff.get(f"/v1/handoffs?limit=2&after={after}")).body
        for each in page["handoffs"]:
            if each["conversation_id"] == customer.conversation:
                found: dict[str, Any] = each
                return found
        assert page["next_after"] is not None, "the hand-off is not in the queue"
        after = page["next_after"]


async def handed_over(staff: Staff, customer: Customer) -> int:
    await ask_for_a_person(customer)
    return int((await queued(staff, customer))["id"])


async def test_a_person_takes_over_says_what_was_agreed_and_a_new_request_is_a_new_hand_off(
    agent: Staff, guest: Customer
) -> None:
    first = await handed_over(agent, guest)
    assert (await agent.do("claim", first)).status == 200
    assert (await guest.post("my headphones are broken")).body["replies"] == []
    said = await agent.reply(guest, "I am here")
    assert said.status == 201
    assert (await agent.do("close", first, note="A new pair is on its way.")).body[
        "note"
    ] == "A new pair is on its way."
    last = (await guest.events())[-1]
    assert (last["sender"], last["text"]) == ("agent", "A new pair is on its way.")
    view = await guest.calls.get(guest.path, token=guest.token)
    assert view.body["status"] == "open"
    assert (await guest.say("hello"))[-1]["sender"] == "assistant"
    second = await handed_over(agent, guest)
    assert second > first
    assert (await agent.do("claim", second)).status == 200
    assert (await agent.do("close", second)).status == 200


async def test_who_waits_is_told_so_once_and_the_assistant_is_silent(agent: Staff, guest: Customer) -> None:
    handoff = await handed_over(agent, guest)
    told = (await guest.post("where is 20261103001")).body
    assert told["complete"]
    assert [reply["data"]["reply"] for reply in told["replies"]] == ["handoff_waiting"]
    again = await guest.post("hello?", message_id="again")
    assert (again.body["replies"], again.body["complete"]) == ([], True)
    assert (await guest.post("hello?", message_id="again")).body == again.body
    await agent.do("claim", handoff)
    assert (await guest.post("are you there")).body["replies"] == []
    transcript = (await agent.get(f"{guest.path}/events")).body["events"]
    assert [event["text"] for event in transcript[-2:]] == ["hello?", "are you there"]
    assert [event["seq"] for event in transcript] == list(range(1, len(transcript) + 1))
    await agent.do("close", handoff)
    assert (await guest.say("hello"))[0]["in_reply_to"] == transcript[-1]["seq"] + 1, (
        "what the agent had is not answered"
    )


async def test_of_two_who_claim_one_is_told_who_has_it(agent: Staff, ben: Staff, guest: Customer) -> None:
    handoff = await handed_over(agent, guest)
    answers = await asyncio.gather(*(each.do("claim", handoff) for each in (agent, ben) * 3))
    by_agent, by_ben = {answer.status for answer in answers[::2]}, {answer.status for answer in answers[1::2]}
    assert {*by_agent, *by_ben} == {200, 409}
    assert len(by_agent) == len(by_ben) == 1, "the same agent claims as often as they like"
    holder, other = (agent, ben) if by_agent == {200} else (ben, agent)
    named = next(answer.body["agent"] for answer in answers if answer.status == 200)
    refused = next(answer for answer in answers if answer.status == 409)
    assert named in refused.body["detail"]
    assert (await other.reply(guest, "hi")).status == 409
    assert (await other.do("release", handoff)).status == 409
    assert (await other.do("close", handoff)).status == 409
    assert (await holder.do("close", handoff)).status == 200
    assert (await holder.do("close", handoff)).status == 200, "closing again changes nothing"
    assert (await other.do("claim", handoff)).status == 409


async def test_rights_begin_with_the_claim_and_end_with_the_hand_off(agent: Staff, ben: Staff, guest: Customer) -> None:
    paths = [f"{guest.path}{what}" for what in ("", "/events", "/traces")]

    async def statuses(staff: Staff) -> set[int]:
        return {(await staff.get(path)).status for path in paths}

    assert await statuses(agent) == {404}
    assert (await agent.reply(guest, "hi")).status == 404
    handoff = await handed_over(agent, guest)
    assert await statuses(agent) == {404}, "the queue shows a summary, and no transcript"
    assert (await agent.get(f"/v1/handoffs/{handoff}")).status == 404
    assert (await agent.reply(guest, "hi")).status == 409
    await agent.do("claim", handoff)
    assert await statuses(agent) == {200}
    assert await statuses(ben) == {404}
    await agent.do("release", handoff)
    assert await statuses(agent) == {404}
    assert (await agent.reply(guest, "hi")).status == 409
    assert (await queued(ben, guest))["status"] == "waiting"
    await ben.do("claim", handoff)
    assert await statuses(ben) == {200}
    await ben.do("close", handoff)
    await guest.say("my private later message")
    for each in (agent, ben):
        assert await statuses(each) == {404}
        assert (await each.get(f"{guest.path}/stream")).status == 404
        assert (await each.reply(guest, "send me your card number")).status == 409
        assert (await each.get(f"/v1/handoffs/{handoff}")).status == 404


async def test_streams_and_waits_of_an_agent_end_with_their_turn(
    agent: Staff, supervisor: Staff, guest: Customer
) -> None:
    handoff = await handed_over(agent, guest)
    await agent.do("claim", handoff)
    last = (await guest.events())[-1]["seq"]
    follows = asyncio.Event()

    async def follow() -> str:
        headers = {"Authorization": f"Bearer {agent.token}"}
        async with agent.calls.session.get(f"{guest.path}/stream?after={last}", headers=headers) as response:
            assert response.status == 200
            follows.set()
            return (await response.text()).strip()

    following = asyncio.create_task(follow())
    waiting = asyncio.create_task(agent.get(f"{guest.path}/events?after={last}&wait=25"))
    await asyncio.wait_for(follows.wait(), 10)
    assert (await supervisor.do("take-over", handoff)).status == 200
    assert (await asyncio.wait_for(following, 20)).endswith("event: end\ndata: {}")
    assert (await asyncio.wait_for(waiting, 20)).status == 404
    await guest.post("for the supervisor only")
    assert (await agent.get(f"{guest.path}/events")).status == 404
    await supervisor.do("close", handoff)


async def test_only_supervisors_take_over(agent: Staff, ben: Staff, supervisor: Staff, guest: Customer) -> None:
    handoff = await handed_over(agent, guest)
    await agent.do("claim", handoff)
    assert (await ben.do("take-over", handoff)).status == 403
    assert (await supervisor.reply(guest, "hi")).status == 409
    taken = await supervisor.do("take-over", handoff)
    assert taken.status == 200
    assert (await agent.reply(guest, "hi")).status == 409
    assert (await supervisor.reply(guest, "I am here now", close=True)).status == 201
    assert (await supervisor.do("take-over", handoff)).status == 409


async def test_an_agent_hands_on_to_another(agent: Staff, ben: Staff, guest: Customer) -> None:
    handoff = await handed_over(agent, guest)
    bens_id = (await ben.do("claim", handoff)).body["agent"]
    await ben.do("release", handoff)
    agents_id = (await agent.do("claim", handoff)).body["agent"]
    for nobody in ("assistant", "queue", agents_id, "a b", ""):
        assert (await agent.do("hand-on", handoff, agent=nobody)).status == 422
    assert (await agent.do("hand-on", handoff, agent=bens_id)).body["agent"] == bens_id
    assert (await agent.do("hand-on", handoff, agent=bens_id)).status == 409
    mine = (await ben.get("/v1/handoffs?mine=true&limit=200")).body["handoffs"]
    assert handoff in [each["id"] for each in mine]
    assert (await ben.reply(guest, "I go on", close=True)).status == 201


async def test_what_the_agent_has_to_know_comes_with_the_claim(agent: Staff, guest: Customer) -> None:
    asked = await guest.say("refund money")
    order = asked[-1]["options"][0]
    await guest.say(order["title"], choice=order["id"])
    handoff = await handed_over(agent, guest)
    summary = await queued(agent, guest)
    assert {"slots", "customer", "understanding", "actions"}.isdisjoint(summary)
    assert (summary["flow"], summary["reason"], summary["language"]) == ("refund", "customer_asked", "en")
    assert summary["waiting_seconds"] >= 0
    details = (await agent.do("claim", handoff)).body
    assert details == (await agent.get(f"/v1/handoffs/{handoff}")).body
    assert details["customer"] == "C1001"
    assert details["slots"]["order_number"] in order["id"]
    assert details["understanding"]["intent"]["name"] == "refund"
    assert "text" not in details["understanding"]
    assert details["actions"] == []
    await agent.do("close", handoff)


async def test_nothing_is_closed_unread(agent: Staff, guest: Customer) -> None:
    handoff = await handed_over(agent, guest)
    await agent.do("claim", handoff)
    read_to = (await guest.events())[-1]["seq"]
    await guest.post("one thing more")
    refused = await agent.do("close", handoff, note="Bye.", read_to=read_to)
    assert (refused.status, refused.body["errors"][0]["field"]) == (409, "read_to")
    assert (await guest.events())[-1]["text"] == "one thing more"
    assert (await agent.do("close", handoff, note="Bye.", read_to=read_to + 1)).status == 200


async def test_nobody_at_the_desk_answers_their_own_conversation(calls: Calls, agent: Staff, ben: Staff) -> None:
    own = await opened_by(calls, agent.token)
    handoff = await handed_over(agent, own)
    assert (await agent.do("claim", handoff)).status == 403
    assert (await agent.reply(own, "you get 1,000")).status == 403
    assert (await ben.do("claim", handoff)).status == 200
    assert (await own.post("my own words")).status == 200, "as a customer they go on"
    await ben.do("close", handoff)


async def test_the_queue_has_pages_and_counts_and_hides_nothing(calls: Calls, agent: Staff) -> None:
    many = await asyncio.gather(*(new_guest(calls) for _ in range(5)))
    await asyncio.gather(*(ask_for_a_person(each) for each in many))
    seen: list[int] = []
    conversations: set[str] = set()
    after: int | None = 0
    while after is not None:
        page = (await agent.get(f"/v1/handoffs?status=waiting&limit=2&after={after}")).body
        seen += [each["id"] for each in page["handoffs"]]
        conversations |= {each["conversation_id"] for each in page["handoffs"]}
        after = page["next_after"]
    assert seen == sorted(set(seen))
    assert {each.conversation for each in many} <= conversations
    assert page["waiting"] == len(seen)
    for each in many:
        handoff = (await queued(agent, each))["id"]
        await agent.do("claim", handoff)
        assert (await queued(agent, each))["status"] == "claimed"
        await agent.do("close", handoff)


async def test_everything_at_the_desk_is_written_down(
    calls: Calls, agent: Staff, supervisor: Staff, guest: Customer
) -> None:
    admin = Staff(calls, await logged_in(calls, ADMIN))
    handoff = await handed_over(agent, guest)
    await agent.do("claim", handoff)
    for _ in range(2):
        await agent.get(f"{guest.path}/events")
        await agent.get(f"{guest.path}/traces")
        await agent.get(f"/v1/handoffs/{handoff}")
    await agent.reply(guest, "hello")
    await supervisor.do("take-over", handoff)
    await supervisor.do("close", handoff, note="Agreed.")
    events: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await admin.get(f"/v1/desk/events?after={after}&limit=3")).body
        events += [each for each in page["events"] if each["handoff_id"] == handoff]
        after = page["next_after"]
    assert [each["event"] for each in events] == [
        "claimed", "read_transcript", "read_traces", "read_handoff", "replied", "taken_over", "closed",
    ]  # fmt: skip
    first, *_, taken, closed = events
    assert taken["details"] == {"from": first["actor"]}
    assert closed["actor"] == taken["actor"] != first["actor"]
    for staff in (agent, supervisor):
        assert (await staff.get("/v1/desk/events")).status == 403


async def test_customers_do_not_read_the_desk(guest: Customer, agent: Staff) -> None:
    handoff = await handed_over(agent, guest)
    as_customer = Staff(guest.calls, guest.token)
    assert (await as_customer.get("/v1/handoffs")).status == 403
    assert (await as_customer.reply(guest, "hi")).status == 403
    for what in ("claim", "release", "take-over", "close"):
        assert (await as_customer.do(what, handoff)).status == 403
    await agent.do("claim", handoff)
    await agent.do("close", handoff)


@pytest.mark.parametrize("handoff", [0, 2**31, "x"])
async def test_a_hand_off_that_cannot_be(agent: Staff, handoff: Any) -> None:
    assert (await agent.do("claim", handoff)).status == 422
    assert (await agent.do("claim", 2**31 - 1)).status == 404


async def test_a_result_reaches_customer_and_agent_as_a_plain_statement(
    around: Neighbourhood, agent: Staff, guest: Customer
) -> None:
    asked = await guest.say("refund money")
    order = asked[-1]["options"][0]
    reasons = await guest.say(order["title"], choice=order["id"])
    confirm = await guest.say(reasons[-1]["options"][0]["title"], choice=reasons[-1]["options"][0]["id"])
    await guest.say(confirm[-1]["options"][0]["title"], choice="yes")
    action = await around.waiting_action()
    handoff = await handed_over(agent, guest)
    await agent.do("claim", handoff)
    before = await guest.events()
    await around.perform(action, "failed")
    events = await guest.until(lambda events: len(events) > len(before))
    (notice,) = events[len(before) :]
    assert (notice["kind"], notice["sender"], notice["options"]) == ("notice", "system", [])
    assert "could not be done" in notice["text"]
    assert "?" not in notice["text"]
    details = (await agent.get(f"/v1/handoffs/{handoff}")).body
    assert [(each["id"], each["status"], each["customer"]) for each in details["actions"]] == [
        (action.id, "failed", "C1001")
    ]
    assert (await agent.get(f"{guest.path}/events?after={len(before)}")).body["events"] == [notice]
    await agent.do("close", handoff)


async def test_an_account_that_is_unlinked_gets_nothing_of_its_old_customer(
    around: Neighbourhood, calls: Calls
) -> None:
    token = await logged_in(calls, CUSTOMER)
    mine = await opened_by(calls, token)
    asked = await mine.say("refund money")
    old = asked[-1]["options"][0]
    async with calling(f"http://{around.addresses['login']}") as login:
        headers = {"Authorization": f"Bearer {await logged_in(calls, ADMIN)}"}
        async with login.session.get("/v1/accounts", headers=headers) as response:
            accounts = (await response.json())["accounts"]
        account = next(each["id"] for each in accounts if each["username"] == CUSTOMER["username"])

        async def link(customer: str | None) -> str:
            change = {"customer": customer}
            async with login.session.patch(f"/v1/accounts/{account}", json=change, headers=headers) as response:
                assert response.status == 200
            return await logged_in(calls, CUSTOMER)

        mine.token = await link(None)
        try:
            chosen = await mine.say(old["title"], choice=old["id"])
            assert chosen[0]["data"]["reply"] == "customer_changed"
            assert not any(old["title"] in reply["text"] for reply in chosen)
            asked = await mine.say("refund money")
            assert not any("2026110" in str(reply) for reply in asked)
            assert "customer_changed" not in {reply["data"]["reply"] for reply in asked}
        finally:
            mine.token = await link("C1002")
    assert (await mine.say("refund money"))[0]["data"]["reply"] == "customer_changed"


async def test_one_customer_waits_for_one_person(agent: Staff, guest: Customer) -> None:
    others = [await opened_by(guest.calls, guest.token) for _ in range(4)]
    mine = [guest, *others]
    # All at once: whichever is first has it.
    await asyncio.gather(*(ask_for_a_person(each) for each in mine))
    statuses = [(await guest.calls.get(each.path, token=guest.token)).body["status"] for each in mine]
    assert sorted(statuses) == ["open"] * 4 + ["waiting_for_agent"]
    waiting = mine[statuses.index("waiting_for_agent")]
    elsewhere = mine[statuses.index("open")]
    told = await elsewhere.say("a person please", choice="intent:ask_human")
    assert [reply["data"]["reply"] for reply in told] == ["handoff_elsewhere"]
    assert "another conversation" in told[0]["text"]
    assert [reply["data"]["reply"] for reply in await elsewhere.say("hello")] == ["greet"], "the assistant goes on"

    handoff = int((await queued(agent, waiting))["id"])
    await agent.do("claim", handoff)
    told = await elsewhere.say("a person please", choice="intent:ask_human")
    assert [reply["data"]["reply"] for reply in told] == ["handoff_elsewhere"]
    await agent.do("close", handoff)
    handoff = await handed_over(agent, elsewhere)
    await agent.do("claim", handoff)
    await agent.do("close", handoff)
