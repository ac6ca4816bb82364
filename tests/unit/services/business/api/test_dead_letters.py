import asyncio

from services.business.actions.ledger import Ledger
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database
from tests.calls import Calls
from tests.unit.services.business.performing import perform
from tests.unit.services.business.refunds import refunds_of


async def test_what_was_given_up_can_be_tried_again_once(
    calls: Calls, database: Database, ledger: Ledger, operator: str, given_up: ActionRequest
) -> None:
    (letter,) = (await calls.get("/v1/dead-letters", token=operator)).body["dead_letters"]
    assert (letter["action_id"], letter["name"], letter["attempts"]) == (given_up.id, "refund", 5)
    assert letter["error"] == "TimeoutError"

    path = f"/v1/dead-letters/{letter['id']}/retry"
    answers = await asyncio.gather(*(calls.post(path, token=operator) for _ in range(3)))

    assert sorted(answer.status for answer in answers) == [202, 409, 409]
    assert next(answer for answer in answers if answer.status == 202).body["retried_by"] == "operator-1"
    result = await perform(ledger, given_up)
    assert result is not None
    assert (result.status, result.version) == ("succeeded", 2)
    assert len(await refunds_of(database, "20261103003")) == 1


async def test_what_was_given_up_can_be_dismissed_with_a_reason_once(
    calls: Calls, operator: str, given_up: ActionRequest
) -> None:
    (letter,) = (await calls.get("/v1/dead-letters?waiting=true", token=operator)).body["dead_letters"]
    path = f"/v1/dead-letters/{letter['id']}"
    for bad in ({}, {"reason": " "}, {"reason": "a\u0000b"}, {"reason": "x" * 501}):
        assert (await calls.post(f"{path}/dismiss", json=bad, token=operator)).status == 422

    reason = {"reason": "客户已线下处理"}
    answers = await asyncio.gather(*(calls.post(f"{path}/dismiss", json=reason, token=operator) for _ in range(3)))

    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    assert (await calls.post(f"{path}/retry", token=operator)).status == 409
    assert (await calls.get("/v1/dead-letters?waiting=true", token=operator)).body["dead_letters"] == []
    (kept,) = (await calls.get("/v1/dead-letters", token=operator)).body["dead_letters"]
    assert (kept["dismissed_by"], kept["dismissed_because"]) == ("operator-1", "客户已线下处理")
    assert kept["dismissed_at"] is not None


async def test_what_is_not_there_can_be_neither_tried_again_nor_dismissed(calls: Calls, operator: str) -> None:
    assert (await calls.post("/v1/dead-letters/999/retry", token=operator)).status == 404
    dismissed = await calls.post("/v1/dead-letters/999/dismiss", json={"reason": "no"}, token=operator)
    assert dismissed.status == 404
