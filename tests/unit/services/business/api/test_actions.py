from services.business.actions.ledger import GAVE_UP
from shared.contracts.actions import ActionRequest
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
