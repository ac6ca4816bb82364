from typing import Any

from services.business import repository
from services.business.actions.ledger import Ledger
from services.business.actions.results import GAVE_UP
from shared.contracts.actions import ActionRequest
from shared.storage.database import ALL_TENANTS, Database
from tests.calls import Calls
from tests.tokens import TokenFactory


async def test_an_action_can_be_followed(
    calls: Calls, tokens: TokenFactory, agent: str, waiting: ActionRequest
) -> None:
    service = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    for token in (service, agent):
        body = (await calls.get(f"/v1/actions/{waiting.id}", token=token)).body
        assert (body["id"], body["status"], body["attempts"], body["version"]) == (
            waiting.id,
            "awaiting_approval",
            1,
            1,
        )
    assert (await calls.get("/v1/actions/unknown", token=agent)).status == 404


async def test_the_result_of_what_was_given_up_says_so(calls: Calls, agent: str, given_up: ActionRequest) -> None:
    body = (await calls.get(f"/v1/actions/{given_up.id}", token=agent)).body
    assert (body["status"], body["error_code"], body["version"]) == ("failed", GAVE_UP, 1)


async def test_an_action_is_taken_once_and_answered_with_its_result(
    calls: Calls, tokens: TokenFactory, ledger: Ledger, ask: Any
) -> None:
    dialogue = tokens.issue("dialogue", roles=(), scopes={"business:actions"})
    request = ask("refund")
    body = request.model_dump(mode="json")

    first = await calls.post("/v1/actions", json=body, token=dialogue)
    assert (first.status, first.body) == (202, {"id": request.id, "result": None})
    result = await ledger.perform(request)
    again = await calls.post("/v1/actions", json=body, token=dialogue)
    assert (again.status, again.body["result"]) == (202, result.model_dump(mode="json"))
    other = await calls.post("/v1/actions", json=body | {"customer": "C1002"}, token=dialogue)
    assert other.status == 409


async def test_actions_are_taken_from_dialogue_alone_and_for_its_own_tenant(
    calls: Calls, tokens: TokenFactory, database: Database, ask: Any
) -> None:
    request = ask("refund")
    body = request.model_dump(mode="json")
    everything = tokens.issue("admin", roles={"admin", "agent", "operator"}, scopes={"business:lookup"})
    elsewhere = tokens.issue("dialogue", roles=(), scopes={"business:actions"}, tenant="other")

    for token in (everything, elsewhere):
        assert (await calls.post("/v1/actions", json=body, token=token)).status == 403
    async with database.reading(ALL_TENANTS) as session:
        assert await repository.find_action(session, request.id) is None
