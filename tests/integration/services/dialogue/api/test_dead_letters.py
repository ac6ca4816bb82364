from collections.abc import AsyncIterator, Mapping

import pytest

from services.dialogue.actions import repository
from services.dialogue.conversation.models import DeadLetter
from tests.calls import Calls
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT, OPERATOR, Neighbourhood

PATH = "/v1/outbox/dead-letters"


async def token_of(calls: Calls, account: Mapping[str, object]) -> str:
    login = {"username": account["username"], "password": account["password"]}
    token: str = (await calls.post("/v1/auth/login", json=login)).body["access_token"]
    return token


@pytest.fixture
async def letters(around: Neighbourhood, guest: Customer) -> AsyncIterator[list[int]]:
    """Three actions that were given up, of which nobody knows any more."""
    rows = [
        DeadLetter(action_id=f"gone.{number}", conversation_id=guest.conversation, error="Conflict", attempts=8)
        for number in range(3)
    ]
    async with around.outbox.transaction("default") as session:
        for row in rows:
            await repository.give_up(session, row)
        await session.flush()
        ids = [row.id for row in rows]
    yield ids
    async with around.outbox.transaction("default") as session:
        for number in ids:
            letter = await repository.letter_by_id(session, number)
            assert letter is not None
            await session.delete(letter)


async def test_an_operator_lists_and_dismisses_what_was_given_up(calls: Calls, letters: list[int]) -> None:
    operator = await token_of(calls, OPERATOR)
    first = (await calls.get(f"{PATH}?limit=2", token=operator)).body
    rest = (await calls.get(f"{PATH}?limit=2&after={first['next_after']}", token=operator)).body
    assert [each["id"] for each in first["dead_letters"] + rest["dead_letters"]] == letters
    assert rest["next_after"] is None
    for bad in ({}, {"reason": " "}, {"reason": "a\u0000b"}, {"reason": "x" * 501}, {"reason": "x", "more": 1}):
        assert (await calls.post(f"{PATH}/{letters[0]}/dismiss", json=bad, token=operator)).status == 422

    dismissed = await calls.post(f"{PATH}/{letters[0]}/dismiss", json={"reason": "已处理"}, token=operator)

    assert dismissed.status == 200
    assert dismissed.body["dismissed_because"] == "已处理"
    assert dismissed.body["dismissed_by"]
    assert (await calls.post(f"{PATH}/{letters[0]}/retry", token=operator)).status == 409
    assert (await calls.post(f"{PATH}/{letters[1]}/retry", token=operator)).status == 409, "its action is gone"
    assert (await calls.post(f"{PATH}/999999/retry", token=operator)).status == 404
    waiting = (await calls.get(f"{PATH}?waiting=true", token=operator)).body["dead_letters"]
    assert [each["id"] for each in waiting] == letters[1:]


async def test_only_operators_see_what_was_given_up(calls: Calls, guest: Customer, letters: list[int]) -> None:
    agent = await token_of(calls, AGENT)
    for token, status in ((guest.token, 403), (agent, 403), (None, 401)):
        assert (await calls.get(PATH, token=token)).status == status
        assert (await calls.post(f"{PATH}/{letters[0]}/retry", token=token)).status == status
        answer = await calls.post(f"{PATH}/{letters[0]}/dismiss", json={"reason": "x"}, token=token)
        assert answer.status == status
