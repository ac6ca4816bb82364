"""Administrators: accounts, roles and the audit log."""

import asyncio
from typing import Any

import pytest

from tests.calls import Calls
from tests.integration.services.login.stage import ADMIN, CLIENT, Gateway, Stage

AGENT = {"username": "agent7", "password": "a fine password"}


async def provision(login: Calls, admin: str, **body: Any) -> dict[str, Any]:
    answer = await login.post("/v1/accounts", json=AGENT | body, token=admin)
    assert answer.status == 201, answer.text
    account: dict[str, Any] = answer.body
    return account


async def events(login: Calls, admin: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await login.get("/v1/audit", token=admin)).body["events"]
    return found


async def test_an_account_is_made_with_roles_and_a_customer_number(login: Calls, admin: str) -> None:
    account = await provision(login, admin, roles=["operator", "agent", "agent"], customer="C1002")
    assert (account["roles"], account["customer"], account["active"]) == (["agent", "operator"], "C1002", True)
    pair = (await login.post("/v1/login", json=AGENT)).body
    me = (await login.get("/v1/me", token=pair["access_token"])).body
    assert (me["subject"], me["roles"], me["customer"]) == (account["id"], ["agent", "operator"], "C1002")
    assert (await login.post("/v1/accounts", json=AGENT, token=admin)).status == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/accounts", AGENT),
        ("GET", "/v1/accounts", None),
        ("PATCH", "/v1/accounts/1", {}),
        ("GET", "/v1/audit", None),
    ],
)
async def test_nobody_else_may_do_it(login: Calls, admin: str, method: str, path: str, body: Any) -> None:
    await provision(login, admin, roles=["agent", "operator", "customer"])
    token = (await login.post("/v1/login", json=AGENT)).body["access_token"]
    guest = (await login.post("/v1/guest")).body["access_token"]
    assert [(await login.send(method, path, json=body, token=each)).status for each in (token, guest)] == [403, 403]
    for each in (None, "", "not a token", admin[:-4]):
        answer = await login.send(method, path, json=body, token=each)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_accounts_are_listed_page_by_page(login: Calls, admin: str) -> None:
    for number in range(3):
        await provision(login, admin, username=f"agent{number}")
    first = (await login.get("/v1/accounts?limit=3", token=admin)).body["accounts"]
    assert [each["username"] for each in first] == ["admin", "agent0", "agent1"]
    rest = (await login.get("/v1/accounts?limit=3&after=agent1", token=admin)).body["accounts"]
    assert [each["username"] for each in rest] == ["agent2", "lilei"]
    assert all("password" not in field for each in first for field in each)


async def test_a_change_reaches_the_next_log_in(login: Calls, admin: str) -> None:
    account = await provision(login, admin, roles=["agent"], customer="C1001")
    pair = (await login.post("/v1/login", json=AGENT)).body
    change = {"roles": ["operator"], "customer": None, "display_name": " Seven "}
    answer = await login.send("PATCH", f"/v1/accounts/{account['id']}", json=change, token=admin)
    assert answer.body == account | {"roles": ["operator"], "customer": None, "display_name": "Seven"}
    assert (await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 401
    again = (await login.post("/v1/login", json=AGENT)).body
    me = (await login.get("/v1/me", token=again["access_token"])).body
    assert (me["roles"], me["customer"], me["display_name"]) == (["operator"], None, "Seven")


async def test_what_is_left_out_of_a_change_stays(login: Calls, admin: str) -> None:
    account = await provision(login, admin, roles=["agent"], customer="C1001")
    path = f"/v1/accounts/{account['id']}"
    for body in ({}, {"display_name": None, "roles": None, "active": None}):
        assert (await login.send("PATCH", path, json=body, token=admin)).body == account
    assert "account_changed" not in {each["event"] for each in await events(login, admin)}


async def test_a_closed_account_is_out_at_once_and_may_come_back(login: Calls, admin: str) -> None:
    account = await provision(login, admin)
    path = f"/v1/accounts/{account['id']}"
    pair = (await login.post("/v1/login", json=AGENT)).body
    assert (await login.send("PATCH", path, json={"active": False}, token=admin)).status == 200
    assert (await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 401
    assert (await login.get("/v1/me", token=pair["access_token"])).status == 401
    body = {"current": AGENT["password"], "new": "a finer password"}
    assert (await login.post("/v1/password", json=body, token=pair["access_token"])).status == 401
    refused = await login.post("/v1/login", json=AGENT)
    assert (refused.status, refused.body["detail"]) == (401, "the user name or the password is wrong")
    assert (await login.send("PATCH", path, json={"active": True}, token=admin)).status == 200
    assert (await login.post("/v1/login", json=AGENT)).status == 200


async def test_administrators_cannot_shut_themselves_out(login: Calls, admin: str) -> None:
    me = (await login.get("/v1/me", token=admin)).body
    for change in ({"roles": ["agent"]}, {"active": False}):
        assert (await login.send("PATCH", f"/v1/accounts/{me['subject']}", json=change, token=admin)).status == 409
    answer = await login.send("PATCH", f"/v1/accounts/{me['subject']}", json={"display_name": "Boss"}, token=admin)
    assert answer.body["display_name"] == "Boss"


async def test_an_unknown_account_is_not_found(login: Calls, admin: str) -> None:
    assert (await login.send("PATCH", "/v1/accounts/nobody", json={"active": False}, token=admin)).status == 404


async def test_the_audit_log_tells_who_did_what_from_where(stage: Stage) -> None:
    login = await stage.login(failures_per_account_and_address=1, refresh_grace_seconds=0)
    home = (await Gateway.to(login)).speaks_for("203.0.113.7")
    admin = (await login.post("/v1/login", json=ADMIN, headers=home)).body["access_token"]
    admin_id = (await login.get("/v1/me", token=admin)).body["subject"]
    account = await provision(login, admin)
    pair = (await login.post("/v1/login", json=AGENT)).body
    for _ in range(2):
        await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})
    body = {"current": AGENT["password"], "new": "a finer password"}
    pair = (await login.post("/v1/password", json=body, token=pair["access_token"])).body
    await login.post("/v1/logout", json={"refresh_token": pair["refresh_token"]})
    for _ in range(3):
        await login.post("/v1/login", json=AGENT)
    await login.post("/v1/login", json={**AGENT, "username": "my-secret-typed-here"})
    await login.post("/v1/register", json={**AGENT, "username": "newcomer"})
    client = {
        "grant_type": "client_credentials",
        "client_id": "dialogue",
        "client_secret": "a wrong one",
        "audience": "x",
    }
    await login.post("/v1/token", json=client)
    path = f"/v1/accounts/{account['id']}"
    await login.send("PATCH", path, json={"roles": ["agent"], "display_name": "Seven"}, token=admin)

    found = await events(login, admin)
    recorded = [(each["event"], each["actor"], each["target"], each["detail"]) for each in reversed(found)]
    newcomer = found[2]["actor"]
    assert recorded[2:] == [
        ("logged_in", admin_id, None, {}),
        ("account_created", admin_id, account["id"], {"roles": ["customer"], "customer": None}),
        ("logged_in", account["id"], None, {}),
        ("refresh_reused", None, account["id"], {}),
        ("password_changed", account["id"], None, {}),
        ("logged_out", account["id"], None, {}),
        ("login_failed", None, account["id"], {}),
        ("login_locked", None, account["id"], {"limit": "pair"}),
        ("login_failed", None, None, {}),
        ("registered", newcomer, None, {}),
        ("client_refused", None, "service-dialogue", {}),
        ("account_changed", admin_id, account["id"], {"roles": ["agent"]}),
    ]
    assert [each["event"] for each in found[-2:]] == ["account_created", "account_created"]
    assert [each["address"] for each in reversed(found)][:4] == ["bootstrap", "bootstrap", "203.0.113.7", "127.0.0.1"]
    text = str(found)
    for secret in (AGENT["password"], ADMIN["password"], "a finer password", "my-secret-typed-here", "a wrong one"):
        assert secret not in text


async def test_the_audit_log_is_read_page_by_page(login: Calls, admin: str) -> None:
    everything = await events(login, admin)
    first = (await login.get("/v1/audit?limit=2", token=admin)).body["events"]
    rest = (await login.get(f"/v1/audit?before={first[-1]['id']}", token=admin)).body["events"]
    assert first + rest == everything
    for wrong in ("limit=0", "limit=201", "before=0", "before=x", f"before={2**70}"):
        assert (await login.get(f"/v1/audit?{wrong}", token=admin)).status == 422


async def test_other_services_append_to_the_audit_log(login: Calls, admin: str) -> None:
    asked = {**CLIENT, "client_id": "desk", "client_secret": "d" * 40, "audience": "login"}
    token = (await login.post("/v1/token", json=asked)).body["access_token"]
    body = {"event": "handoff_claimed", "actor": "agent-7", "target": "c-1", "detail": {"from": "queue", "waited": 7}}
    assert (await login.post("/v1/audit", json=body, token=token)).status == 204
    [noted] = [each for each in await events(login, admin) if each["event"] == "handoff_claimed"]
    assert (noted["actor"], noted["target"]) == ("agent-7", "c-1")
    assert noted["detail"] == {"from": "queue", "waited": 7, "service": "service-desk"}
    for other in (admin, None):
        assert (await login.post("/v1/audit", json=body, token=other)).status in (401, 403)
    refused: list[dict[str, Any]] = [
        {"event": "No Name"},
        {"detail": {"text": "x" * 300}},
        {"detail": {"nested": {}}},
    ]
    for wrong in refused:
        assert (await login.post("/v1/audit", json=body | wrong, token=token)).status == 422
    assert (await login.post("/v1/audit", json=body | {"more_of_a_later_release": 1}, token=token)).status == 204


async def test_whether_the_log_is_whole_is_for_administrators_to_see(stage: Stage) -> None:
    login = await stage.login(upkeep_seconds=0.05)
    admin = (await login.post("/v1/login", json=ADMIN)).body["access_token"]
    async with asyncio.timeout(10):
        while (found := (await login.get("/v1/audit/check", token=admin)).body)["checked"] < 3:
            pass
    assert found["broken"] is None
    assert (await login.get("/v1/audit/check")).status == 401
