from typing import Any

import pytest

from tests.calls import Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import CUSTOMER, Neighbourhood, arrive, customer_of, new_visit
from tests.servers import serve


async def test_a_visitor_gets_session_conversation_and_greeting_at_once(calls: Calls) -> None:
    answer = await arrive(calls)
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    assert answer.body["conversation"]["language"] == "en"
    guest = customer_of(calls, answer)
    assert answer.body["events"] == await guest.events()
    assert [event["sender"] for event in answer.body["events"]] == ["assistant"]
    assert answer.body["last_seq"] == answer.body["conversation"]["last_seq"] == 1
    assert await guest.say("hello")


async def test_who_comes_back_goes_on_where_they_were(calls: Calls) -> None:
    first = await arrive(calls)
    guest = customer_of(calls, first)
    await guest.say("hello")
    known = {"refresh_token": first.body["refresh_token"], "conversation_id": guest.conversation}
    back = await arrive(calls, **known)
    assert back.status == 201
    assert back.body["conversation"]["id"] == guest.conversation
    assert back.body["events"] == await guest.events()
    assert back.body["refresh_token"] != first.body["refresh_token"]
    assert await customer_of(calls, back).say("hello again")


async def test_a_customer_who_comes_back_is_the_same_customer(calls: Calls) -> None:
    logged_in = await calls.post("/v1/auth/login", json={key: CUSTOMER[key] for key in ("username", "password")})
    visit = new_visit()
    back = await arrive(calls, visit_id=visit, refresh_token=logged_in.body["refresh_token"])
    mine = customer_of(calls, back)
    await mine.say("hello")
    again = await arrive(calls, visit_id=visit, refresh_token=back.body["refresh_token"])
    assert again.body["conversation"]["id"] == mine.conversation


async def test_somebody_elses_conversation_is_not_gone_on_with(calls: Calls, guest: Customer) -> None:
    first = await arrive(calls)
    for foreign in (guest.conversation, "none"):
        back = await arrive(calls, refresh_token=first.body["refresh_token"], conversation_id=foreign)
        assert back.status == 201
        assert back.body["conversation"]["id"] not in (guest.conversation, foreign)
        assert len(back.body["events"]) == 1


@pytest.mark.parametrize(
    ("visit", "fields"),
    [
        ({"visit_id": None}, ["visit_id"]),
        ({"visit_id": "short"}, ["visit_id"]),
        ({"visit_id": "x" * 65}, ["visit_id"]),
        ({"visit_id": "a\u0000" * 16}, ["visit_id"]),
        ({"visit_id": "with blanks in between them"}, ["visit_id"]),
        ({"language": "fr"}, ["language"]),
        ({"assistant": "nobody"}, ["assistant"]),
        ({"assistant": "../shop"}, ["assistant"]),
        ({"refresh_token": ""}, ["refresh_token"]),
        ({"refresh_token": "x" * 513}, ["refresh_token"]),
        ({"refresh_token": ["x"]}, ["refresh_token"]),
        ({"conversation_id": "a b"}, ["conversation_id"]),
        ({"customer": "C1001"}, ["customer"]),
    ],
)
async def test_bad_visits_name_the_field_and_begin_no_session(
    calls: Calls, visit: dict[str, Any], fields: list[str]
) -> None:
    answer = await arrive(calls, **visit)
    assert (answer.status, answer.content_type) == (422, "application/problem+json")
    assert [error["field"] for error in answer.body["errors"]] == fields
    assert "access_token" not in answer.text


@pytest.mark.parametrize("token", ["made-up", "a.b", "a\u0000.b", "'; drop table families; --"])
async def test_a_refresh_token_that_is_no_good_gives_no_session(calls: Calls, token: str) -> None:
    answer = await arrive(calls, refresh_token=token)
    assert answer.status in (401, 422)
    assert answer.content_type == "application/problem+json"
    assert token not in answer.text or len(token) < 4


async def test_conversations_that_visits_open_are_counted(around: Neighbourhood) -> None:
    app = around.another(conversations_per_minute=1)
    async with serve(app) as gateway, calling(gateway.base_url) as calls:
        first = await arrive(calls)
        assert first.status == 201
        more = await arrive(calls, refresh_token=first.body["refresh_token"])
        # The session has gone on; only a conversation is refused.
        assert (more.status, more.body["conversation"], more.body["events"]) == (201, None, [])
        token = more.body["access_token"]
        assert (await calls.post("/v1/conversations", json={}, token=token)).status == 429
        known = {"refresh_token": more.body["refresh_token"], "conversation_id": first.body["conversation"]["id"]}
        assert (await arrive(calls, **known)).body["conversation"] is not None
