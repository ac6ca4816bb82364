import pytest

from tests.calls import Calls, calling
from tests.integration.services.dialogue.neighbourhood import AGENT, CLIENT, Neighbourhood


async def test_the_way_to_login_leads_through_the_gateway(calls: Calls) -> None:
    known = {"username": AGENT["username"], "password": AGENT["password"]}
    answer = await calls.post("/v1/auth/login", json=known)
    assert answer.status == 200
    assert (await calls.get("/v1/handoffs", token=answer.body["access_token"])).status == 200


async def test_what_login_refuses_is_refused_as_login_said(calls: Calls) -> None:
    answer = await calls.post("/v1/auth/login", json={"username": AGENT["username"], "password": "another password"})
    assert (answer.status, answer.content_type) == (401, "application/problem+json")


async def test_only_the_calls_of_people_lead_there(calls: Calls) -> None:
    assert (await calls.post("/v1/auth/nothing", json={})).status == 422
    assert (await calls.post("/v1/auth/service", json={})).status == 422


@pytest.mark.parametrize("audience", ["intent", "login"])
async def test_what_dialogue_shows_to_one_neighbour_opens_nothing_at_another(
    around: Neighbourhood, audience: str
) -> None:
    order = {"customer": "C1002", "arguments": {}}
    asked = {"grant_type": "client_credentials", **CLIENT, "audience": audience}
    del asked["scopes"]
    async with calling(f"http://{around.addresses['login']}") as login:
        token = (await login.post("/v1/token", json=asked)).body["access_token"]
        right = (await login.post("/v1/token", json={**asked, "audience": "business"})).body["access_token"]
    async with calling(f"http://{around.addresses['business']}") as business:
        assert (await business.post("/v1/lookups/orders", json=order, token=right)).status == 200
        assert (await business.post("/v1/lookups/orders", json=order, token=token)).status == 401


async def test_a_customers_token_opens_the_gateway_only(around: Neighbourhood, calls: Calls) -> None:
    token = (await calls.post("/v1/auth/guest", json={})).body["access_token"]
    assert (await calls.get("/v1/conversations", token=token)).status == 200
    for name, path in (("business", "/v1/approvals"), ("intent", "/v1/models")):
        async with calling(f"http://{around.addresses[name]}") as service:
            assert (await service.get(path, token=token)).status == 401
