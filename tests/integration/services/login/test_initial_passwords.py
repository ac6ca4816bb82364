"""Passwords that somebody else chose: they are replaced at the first log-in, and do not last."""

from typing import Any

import pytest

from tests.calls import Answer, Calls
from tests.integration.services.login.stage import ADMIN, LILEI, Stage

NEW = "a password of my own"
AGENT = {"username": "agent-7", "password": "given by the admin"}


async def log_in(login: Calls, credentials: dict[str, str], **more: Any) -> Answer:
    return await login.post("/v1/login", json={**credentials, **more})


@pytest.fixture
async def strict(stage: Stage) -> Calls:
    """Login as it is in production."""
    return await stage.login(change_initial_passwords=True)


async def test_staff_replace_the_password_of_the_file_at_their_first_log_in(strict: Calls) -> None:
    refused = await log_in(strict, ADMIN)
    assert refused.status == 403
    assert "new_password" in refused.body["detail"]
    for bad in ("short", "Password12345", ADMIN["password"], "admin admin 2026"):
        answer = await log_in(strict, ADMIN, new_password=bad)
        assert (answer.status, answer.body["errors"][0]["field"]) == (422, "new_password"), bad
    assert (await log_in(strict, {**ADMIN, "password": "a wrong one"}, new_password=NEW)).status == 401
    assert (await log_in(strict, ADMIN, new_password=NEW)).status == 200
    assert (await log_in(strict, ADMIN)).status == 401
    assert (await log_in(strict, {**ADMIN, "password": NEW})).status == 200


async def test_customers_of_the_file_and_who_registers_have_passwords_of_their_own(strict: Calls) -> None:
    assert (await log_in(strict, LILEI)).status == 200
    mine = {"username": "newcomer", "password": NEW}
    assert (await strict.post("/v1/register", json=mine)).status == 201
    assert (await log_in(strict, mine, new_password="what nobody asked for")).status == 200
    assert (await log_in(strict, mine)).status == 200, "a password of one's own is not changed by the way"


async def test_a_restart_does_not_make_it_an_initial_one_again(stage: Stage) -> None:
    first = await stage.login(change_initial_passwords=True)
    assert (await log_in(first, ADMIN, new_password=NEW)).status == 200
    again = await stage.login(change_initial_passwords=True)
    assert (await log_in(again, {**ADMIN, "password": NEW})).status == 200


async def test_what_an_administrator_sets_is_an_initial_password(strict: Calls) -> None:
    admin = (await log_in(strict, ADMIN, new_password=NEW)).body["access_token"]
    account = (await strict.post("/v1/accounts", json={**AGENT, "roles": ["agent"]}, token=admin)).body
    assert (await log_in(strict, AGENT)).status == 403
    pair = (await log_in(strict, AGENT, new_password="the agent's own one")).body
    change = {"password": "set once more today"}
    path = f"/v1/accounts/{account['id']}"
    assert (await strict.send("PATCH", path, json={"password": "short"}, token=admin)).status == 422
    assert (await strict.send("PATCH", path, json=change, token=admin)).status == 200
    assert (await strict.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 401
    assert (await log_in(strict, {**AGENT, "password": "the agent's own one"})).status == 401
    assert (await log_in(strict, {**AGENT, **change})).status == 403
    assert (await log_in(strict, {**AGENT, **change}, new_password="mine once again")).status == 200


async def test_asking_for_a_new_password_is_no_failure(strict: Calls) -> None:
    for _ in range(12):
        assert (await log_in(strict, ADMIN)).status == 403
    assert (await log_in(strict, ADMIN, new_password=NEW)).status == 200


async def test_where_the_settings_say_so_initial_passwords_stay(login: Calls) -> None:
    assert (await log_in(login, ADMIN)).status == 200


async def test_where_nobody_may_register_nobody_does(stage: Stage) -> None:
    login = await stage.login(registration=False)
    refused = await login.post("/v1/register", json={"username": "newcomer", "password": NEW})
    assert (refused.status, refused.content_type) == (403, "application/problem+json")
    assert (await log_in(login, LILEI)).status == 200
