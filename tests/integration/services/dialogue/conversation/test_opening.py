import asyncio
from datetime import timedelta

from sqlalchemy import update

from services.dialogue.conversation.models import Conversation
from shared.storage.database import ALL_TENANTS, now
from tests.calls import Calls
from tests.integration.services.dialogue.neighbourhood import Neighbourhood, arrive, customer_of, new_visit


async def test_the_same_visit_again_opens_nothing_twice(calls: Calls) -> None:
    visit = new_visit()
    first, again = await arrive(calls, visit_id=visit), await arrive(calls, visit_id=visit)
    assert (first.status, again.status) == (201, 201)
    assert first.body["conversation"]["id"] == again.body["conversation"]["id"]
    assert first.body["events"] == again.body["events"]
    guest = customer_of(calls, again)
    assert await guest.say("hello")
    listed = await calls.get("/v1/conversations", token=guest.token)
    assert [each["id"] for each in listed.body] == [guest.conversation]
    # Whose answer was lost has no use for their session; it is nobody's way into the conversation.
    assert (await calls.get(guest.path, token=first.body["access_token"])).status == 404


async def test_the_same_visit_three_times_at_once_is_greeted_once(calls: Calls) -> None:
    visit = new_visit()
    answers = await asyncio.gather(*(arrive(calls, visit_id=visit) for _ in range(3)))
    assert {answer.status for answer in answers} <= {201, 409}
    last = await arrive(calls, visit_id=visit)
    assert [event["seq"] for event in last.body["events"]] == [1]


async def test_a_visit_in_which_something_was_said_is_nobody_elses(calls: Calls) -> None:
    visit = new_visit()
    guest = customer_of(calls, await arrive(calls, visit_id=visit))
    await guest.say("hello")
    again = await arrive(calls, visit_id=visit)
    assert (again.status, again.content_type) == (409, "application/problem+json")
    assert [error["field"] for error in again.body["errors"]] == ["visit_id"]
    assert (await calls.get(guest.path, token=guest.token)).status == 200


async def test_an_old_visit_is_nobody_elses(around: Neighbourhood, calls: Calls) -> None:
    visit = new_visit()
    guest = customer_of(calls, await arrive(calls, visit_id=visit))
    async with around.outbox.transaction(ALL_TENANTS) as session:
        old = update(Conversation).where(Conversation.id == guest.conversation)
        await session.execute(old.values(created_at=now() - timedelta(minutes=11)))
    assert (await arrive(calls, visit_id=visit)).status == 409
