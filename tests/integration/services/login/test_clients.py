"""Services and their secrets: who gets a token of its own."""

import pytest

from shared.calls.client import ServiceClient, ServiceTokens
from shared.calls.discovery import FixedDiscovery
from shared.errors import Unauthenticated
from shared.http.auth import Principal
from tests.calls import Calls
from tests.integration.services.login.stage import CLIENT, Stage, verifier


async def test_a_service_gets_a_token_with_its_scopes(login: Calls) -> None:
    answer = await login.post("/v1/token", json=CLIENT)
    assert (answer.status, answer.body["token_type"], answer.body["expires_in"]) == (200, "Bearer", 3600)
    assert await verifier(login).verify(answer.body["access_token"]) == Principal(
        subject="service-dialogue", tenant="default", scopes=frozenset({"business:lookup", "intent:predict"})
    )
    me = (await login.get("/v1/me", token=answer.body["access_token"])).body
    assert (me["kind"], me["roles"], me["scopes"]) == ("service", [], ["business:lookup", "intent:predict"])


@pytest.mark.parametrize("wrong", [{"client_secret": "t" * 40}, {"client_id": "nobody"}, {"client_id": "lilei"}])
async def test_a_wrong_secret_and_an_unknown_client_look_the_same(login: Calls, wrong: dict[str, str]) -> None:
    answer = await login.post("/v1/token", json=CLIENT | wrong)
    assert (answer.status, answer.body["detail"]) == (401, "the client or its secret is wrong")


async def test_the_client_of_the_other_services_gets_its_token_here(stage: Stage) -> None:
    login, url = await stage.login_at()
    client = ServiceClient(FixedDiscovery({"login": url}))
    tokens = ServiceTokens(client, "dialogue", "s" * 40)
    first = await tokens()
    assert await tokens() == first, "one token serves until it is half over"
    assert "business:lookup" in (await verifier(login).verify(first)).scopes
    with pytest.raises(Unauthenticated):
        await ServiceTokens(client, "dialogue", "wrong")()
    await client.close()
