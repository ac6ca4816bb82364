import asyncio
from http.cookies import SimpleCookie
from ipaddress import ip_network

import pytest

from tests.calls import Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import ADMIN, AGENT, CLIENT, Neighbourhood, logged_in
from tests.servers import serve

ADMINS = {"username": ADMIN["username"], "password": ADMIN["password"]}
"""What the administrator logs in with."""
PLAIN = {"Cookie": "other=1"}
"""The session of a test keeps cookies as a browser does; this is a browser that was never here."""


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


async def addresses_of(around: Neighbourhood, admin: str, event: str) -> list[str]:
    """From where login says that it was called, newest first."""
    async with calling(f"http://{around.addresses['login']}") as login:
        events = (await login.get("/v1/audit?limit=200", token=admin)).body["events"]
    return [each["address"] for each in events if each["event"] == event]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Client-Address", "X-Real-IP", "Forwarded"])
async def test_a_client_does_not_choose_its_address(around: Neighbourhood, calls: Calls, header: str) -> None:
    admin = await logged_in(calls, ADMIN)
    body = {"username": f"stranger-{header.lower()}", "password": "wrong one"}
    await calls.post("/v1/auth/login", json=body, headers={header: "198.51.100.99", "X-Gateway-Token": "x"})
    assert (await addresses_of(around, admin, "login_failed"))[0] == "127.0.0.1"


async def test_the_proxies_that_the_settings_name_say_where_a_client_is(around: Neighbourhood) -> None:
    app = around.another(trusted_proxies=(ip_network("127.0.0.0/8"),))
    async with serve(app) as gateway, calling(gateway.base_url) as calls:
        admin = await logged_in(calls, ADMIN)
        body = {"username": "stranger", "password": "wrong one"}
        forged = {"X-Forwarded-For": "203.0.113.5, 198.51.100.99, 127.0.0.2", "X-Client-Address": "203.0.113.6"}
        await calls.post("/v1/auth/login", json=body, headers=forged)
        assert (await addresses_of(around, admin, "login_failed"))[0] == "198.51.100.99"


async def test_a_browser_is_known_by_a_cookie_that_scripts_do_not_see(calls: Calls) -> None:
    credentials = {"username": "locked-out", "password": "a long password of mine"}
    await calls.post("/v1/auth/register", json=credentials)
    answer = await calls.post("/v1/auth/login", json=credentials)
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["zhiyin_device"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/v1/auth")
    assert cookie.value == answer.body["device"]
    for number in range(11):
        refused = await calls.post("/v1/auth/login", json={**credentials, "password": f"wrong {number}"}, headers=PLAIN)
    assert refused.status == 429
    assert (await calls.post("/v1/auth/login", json=credentials, headers=PLAIN)).status == 429
    known = {"Cookie": f"zhiyin_device={cookie.value}"}
    assert (await calls.post("/v1/auth/login", json=credentials, headers=known)).status == 200


async def test_a_password_is_changed_through_the_gateway(calls: Calls) -> None:
    credentials = {"username": "newcomer", "password": "a long password of mine"}
    pair = (await calls.post("/v1/auth/register", json=credentials)).body
    change = {"current": credentials["password"], "new": "another long password"}
    assert (await calls.post("/v1/auth/password", json=change)).status == 401
    changed = await calls.post("/v1/auth/password", json=change, token=pair["access_token"])
    assert changed.status == 200
    old = await calls.post("/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    kept = await calls.post("/v1/auth/refresh", json={"refresh_token": changed.body["refresh_token"]})
    assert (old.status, kept.status) == (401, 200)


async def test_logging_out_ends_access_and_streams_within_seconds(around: Neighbourhood, calls: Calls) -> None:
    pair = (await calls.post("/v1/auth/guest", json={})).body
    opened = await calls.post("/v1/conversations", json={"language": "en"}, token=pair["access_token"])
    customer = Customer(calls, pair["access_token"], opened.body["id"])
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    async with calls.session.get(f"{customer.path}/stream", headers=headers) as stream:
        await calls.post("/v1/auth/logout", json={"refresh_token": pair["refresh_token"]})
        async with asyncio.timeout(30):
            await stream.read()
    refused = await calls.get("/v1/conversations", token=pair["access_token"])
    assert (refused.status, refused.body["detail"]) == (401, "the session was ended; log in again")
    assert (await customer.post("hello")).status == 401
    assert (await calls.get(f"{customer.path}/stream", token=pair["access_token"])).status == 401


async def test_business_and_intent_hear_of_it_too(around: Neighbourhood, calls: Calls) -> None:
    pair = (await calls.post("/v1/auth/login", json=ADMINS)).body
    for name, path in (("business", "/v1/approvals"), ("intent", "/v1/models")):
        async with calling(f"http://{around.addresses[name]}") as service:
            assert (await service.get(path, token=pair["access_token"])).status == 200
    await calls.post("/v1/auth/logout", json={"refresh_token": pair["refresh_token"]})
    for name, path in (("business", "/v1/approvals"), ("intent", "/v1/models")):
        async with calling(f"http://{around.addresses[name]}") as service, asyncio.timeout(30):
            while (await service.get(path, token=pair["access_token"])).status != 401:
                pass


async def test_own_sessions_are_seen_and_ended_through_the_gateway(calls: Calls) -> None:
    here, there = [(await calls.post("/v1/auth/login", json=ADMINS)).body for _ in range(2)]
    listed = (await calls.get("/v1/auth/sessions", token=here["access_token"])).body["sessions"]
    assert len([each for each in listed if each["current"]]) == 1
    for each in listed:
        if not each["current"]:
            ended = await calls.send("DELETE", f"/v1/auth/sessions/{each['id']}", token=here["access_token"])
            assert ended.status == 204
    assert (await calls.post("/v1/auth/refresh", json={"refresh_token": there["refresh_token"]})).status == 401
    assert (await calls.post("/v1/auth/refresh", json={"refresh_token": here["refresh_token"]})).status == 200
