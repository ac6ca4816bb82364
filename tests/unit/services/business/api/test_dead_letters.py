import asyncio

from services.business.actions.ledger import Ledger
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database
from tests.calls import Calls
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
    result = await ledger.perform(given_up)
    assert result is not None
    assert (result.status, result.version) == ("succeeded", 2)
    assert len(await refunds_of(database, "20261103003")) == 1


async def test_what_is_no_action_cannot_be_tried_again(calls: Calls, ledger: Ledger, operator: str) -> None:
    await ledger.bury({"id": "action-1", "tenant": "default"}, "name: Field required")
    (letter,) = (await calls.get("/v1/dead-letters", token=operator)).body["dead_letters"]

    assert (await calls.post(f"/v1/dead-letters/{letter['id']}/retry", token=operator)).status == 409
    assert (await calls.post("/v1/dead-letters/999/retry", token=operator)).status == 404
