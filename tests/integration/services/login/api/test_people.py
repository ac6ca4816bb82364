"""People: registration, log-in, passwords, and what is refused."""

import asyncio
from typing import Any

import pytest

from tests.calls import Calls
from tests.integration.services.login.stage import LILEI, Stage

NEW = {"username": "hanmeimei", "password": "my own password"}


async def test_who_registers_is_logged_in_as_a_customer_without_a_number(login: Calls) -> None:
    answer = await login.post("/v1/register", json={**NEW, "display_name": "韩梅梅"})
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body["token_type"] == "Bearer"
    assert answer.body["expires_in"] == 900
    me = (await login.get("/v1/me", token=answer.body["access_token"])).body
    assert me | {"subject": ""} == {
        "kind": "account",
        "subject": "",
        "tenant": "default",
        "roles": ["customer"],
        "scopes": [],
        "customer": None,
        "username": "hanmeimei",
        "display_name": "韩梅梅",
    }


async def test_a_name_is_taken_in_every_spelling(login: Calls) -> None:
    assert (await login.post("/v1/register", json=NEW)).status == 201
    for spelling in ("hanmeimei", "HanMeiMei", "ｈａｎｍｅｉｍｅｉ"):
        answer = await login.post("/v1/register", json={**NEW, "username": spelling})
        assert answer.status == 409
        assert answer.body["errors"][0]["field"] == "username"
    assert (await login.post("/v1/login", json={**NEW, "username": "ＨＡＮmeimei"})).status == 200


async def test_of_many_who_register_a_name_at_once_one_gets_it(login: Calls) -> None:
    answers = await asyncio.gather(*(login.post("/v1/register", json=NEW) for _ in range(8)))
    assert sorted(each.status for each in answers) == [201] + [409] * 7


async def test_an_account_of_the_bootstrap_file_has_its_customer_number(login: Calls) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    me = (await login.get("/v1/me", token=pair["access_token"])).body
    assert (me["customer"], me["display_name"]) == ("C1001", "李雷")


@pytest.mark.parametrize("username", ["lilei", "nobody"])
async def test_a_wrong_password_and_an_unknown_name_look_the_same(login: Calls, username: str) -> None:
    answer = await login.post("/v1/login", json={"username": username, "password": "not the password"})
    assert answer.status == 401
    assert answer.content_type == "application/problem+json"
    assert answer.body["detail"] == "the user name or the password is wrong"


BAD_INPUT: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/register", {"username": "ab", "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "a" * 65, "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "emoji😀name", "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "nul\0name", "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "a name", "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "іvan", "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "fine", "password": "short"}, "password"),
    ("/v1/register", {"username": "fine", "password": "x" * 129}, "password"),
    ("/v1/register", {"username": "fine", "password": "with\0a nul"}, "password"),
    ("/v1/register", {"username": "fine-name", "password": "Fine-Name"}, "password"),
    ("/v1/register", {"username": "fine", "password": "Password123"}, "password"),
    ("/v1/register", {"username": "fine", "password": "aaaaaaaaaaaa"}, "password"),
    ("/v1/register", {**NEW, "display_name": "two\nlines"}, "display_name"),
    ("/v1/register", {"username": "fine", "password": "a fine password", "display_name": "   "}, "display_name"),
    ("/v1/register", {"username": "fine", "password": "a fine password", "roles": ["admin"]}, "roles"),
    ("/v1/register", {"username": ["fine"], "password": "a fine password"}, "username"),
    ("/v1/register", {"username": "fine"}, "password"),
    ("/v1/login", {"username": "x" * 1000, "password": "y"}, "username"),
    ("/v1/login", {"username": "fine", "password": "y" * 1000}, "password"),
    ("/v1/login", {"username": None, "password": {}}, "username"),
    ("/v1/refresh", {"refresh_token": "x" * 513}, "refresh_token"),
    ("/v1/refresh", {"refresh_token": 7}, "refresh_token"),
    ("/v1/token", {"grant_type": "password", "client_id": "a", "client_secret": "b", "audience": "c"}, "grant_type"),
    ("/v1/guest", {"customer": "C1002"}, "customer"),
]


async def test_bad_input_names_its_field_and_changes_nothing(login: Calls, admin: str) -> None:
    before = (await login.get("/v1/accounts", token=admin)).body
    for path, body, field in BAD_INPUT:
        answer = await login.post(path, json=body)
        assert answer.status == 422, (path, body)
        assert answer.content_type == "application/problem+json"
        assert answer.body["errors"][0]["field"] == field, (path, body)
    assert (await login.get("/v1/accounts", token=admin)).body == before


HARDLY_A_REQUEST = [
    (b'{"username": "\\ud800", "password": "a fine password"}', 422),
    (b'{"\\ud800": "\\udfff", "username": "fine", "password": "a fine password"}', 422),
    (b'{"username": "fine", "password": "\\ud83d plus text"}', 422),
    (b'{"username": "fine", "password": NaN}', 422),
    (b"{" * 50_000, 400),
    (b'{"username": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
    (b'{"username": "fine",', 400),
    (b"\xff\xfe\x00", 400),
    (b"null", 422),
    (b"[]", 422),
    (b"", 422),
    (b'{"username": "' + b"x" * 1_000_000 + b'"}', 413),
]


async def test_what_is_hardly_a_request_is_refused_clearly(login: Calls) -> None:
    for body, status in HARDLY_A_REQUEST:
        for path in ("/v1/register", "/v1/login", "/v1/refresh", "/v1/token", "/v1/logout"):
            answer = await login.post(path, data=body)
            assert answer.status == status, (path, body[:60], answer.text[:300])
            assert answer.content_type == "application/problem+json"
            assert answer.body["status"] == status


async def test_a_new_password_ends_all_sessions_but_the_one_that_set_it(login: Calls) -> None:
    here, there = [(await login.post("/v1/login", json=LILEI)).body for _ in range(2)]
    change = {"current": LILEI["password"], "new": "新的密码很安全的因为很长"}
    answer = await login.post("/v1/password", json=change, token=here["access_token"])
    assert answer.status == 200
    for old in (here, there):
        assert (await login.post("/v1/refresh", json={"refresh_token": old["refresh_token"]})).status == 401
    kept = await login.post("/v1/refresh", json={"refresh_token": answer.body["refresh_token"]})
    assert kept.status == 200
    assert (await login.post("/v1/login", json=LILEI)).status == 401
    assert (await login.post("/v1/login", json={**LILEI, "password": change["new"]})).status == 200


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("not the password", "a fine password", "current"),
        (LILEI["password"], "short", "new"),
        (LILEI["password"], "password123", "new"),
        (LILEI["password"], LILEI["password"], "new"),
    ],
)
async def test_a_password_is_not_changed_by_bad_input(login: Calls, current: str, new: str, field: str) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    answer = await login.post("/v1/password", json={"current": current, "new": new}, token=pair["access_token"])
    assert answer.status == 422
    assert answer.body["errors"][0]["field"] == field
    assert (await login.post("/v1/login", json=LILEI)).status == 200


async def test_the_current_password_cannot_be_guessed_at_leisure(login: Calls) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    body = {"current": "a wrong guess", "new": "a fine password"}
    statuses = [(await login.post("/v1/password", json=body, token=pair["access_token"])).status for _ in range(11)]
    assert statuses == [422] * 10 + [429]


async def test_guests_and_services_have_no_password(login: Calls) -> None:
    guest = (await login.post("/v1/guest")).body["access_token"]
    body = {"current": "whatever it is", "new": "a fine password"}
    assert (await login.post("/v1/password", json=body, token=guest)).status == 403
    assert (await login.post("/v1/password", json=body)).status == 401


async def test_stronger_parameters_reach_a_password_at_its_next_use(stage: Stage) -> None:
    login = await stage.login()
    assert (await login.post("/v1/login", json=LILEI)).status == 200
    stronger = await stage.login(argon2_iterations=2)
    answers = await asyncio.gather(*(stronger.post("/v1/login", json=LILEI) for _ in range(4)))
    assert {each.status for each in answers} == {200}, "log-ins that rehash at once do not disturb each other"
    assert (await stronger.post("/v1/login", json={**LILEI, "password": "wrong one"})).status == 401
    assert (await login.post("/v1/login", json=LILEI)).status == 200


async def test_of_two_changes_of_a_password_at_once_one_is_made(login: Calls) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    changes = [{"current": LILEI["password"], "new": f"new password {number}"} for number in range(2)]
    answers = await asyncio.gather(
        *(login.post("/v1/password", json=change, token=pair["access_token"]) for change in changes)
    )
    assert sorted(each.status for each in answers)[0] == 200
    assert sorted(each.status for each in answers)[1] in (409, 422)
    for change, answer in zip(changes, answers, strict=True):
        known = await login.post("/v1/login", json={**LILEI, "password": change["new"]})
        assert (known.status == 200) == (answer.status == 200)
