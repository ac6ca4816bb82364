from tests.calls import Calls
from tests.integration.services.dialogue.neighbourhood import AGENT


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
