"""Sessions: one live token each, for people and guests, until they end."""

import asyncio
from typing import Any

import pytest

from shared.http.auth import Principal
from tests.calls import Calls
from tests.integration.services.login.stage import ADMIN, LILEI, Stage, verifier


async def test_a_session_goes_on_with_the_next_token_and_ends_with_an_old_one(stage: Stage) -> None:
    login = await stage.login(refresh_grace_seconds=0)
    tokens = [(await login.post("/v1/login", json=LILEI)).body["refresh_token"]]
    for _ in range(3):
        answer = await login.post("/v1/refresh", json={"refresh_token": tokens[-1]})
        assert answer.status == 200
        assert (await login.get("/v1/me", token=answer.body["access_token"])).body["username"] == "lilei"
        tokens.append(answer.body["refresh_token"])
    assert len(set(tokens)) == 4
    for token in (tokens[1], tokens[-1]):
        assert (await login.post("/v1/refresh", json={"refresh_token": token})).status == 401


async def test_two_tabs_that_refresh_at_once_keep_one_session(login: Calls) -> None:
    first = (await login.post("/v1/login", json=LILEI)).body["refresh_token"]
    answers = await asyncio.gather(*(login.post("/v1/refresh", json={"refresh_token": first}) for _ in range(6)))
    assert {each.status for each in answers} == {200}
    assert len({each.body["refresh_token"] for each in answers}) == 1, "never more than one live token"
    following = answers[0].body["refresh_token"]
    assert (await login.post("/v1/refresh", json={"refresh_token": following})).status == 200


async def test_without_grace_one_of_two_at_once_wins_and_the_session_ends(stage: Stage) -> None:
    login = await stage.login(refresh_grace_seconds=0)
    first = (await login.post("/v1/login", json=LILEI)).body["refresh_token"]
    answers = await asyncio.gather(*(login.post("/v1/refresh", json={"refresh_token": first}) for _ in range(2)))
    assert sorted(each.status for each in answers) == [200, 401]
    won = next(each for each in answers if each.status == 200).body["refresh_token"]
    assert (await login.post("/v1/refresh", json={"refresh_token": won})).status == 401


async def test_logging_out_ends_this_session_and_no_other(login: Calls) -> None:
    here, there = [(await login.post("/v1/login", json=LILEI)).body["refresh_token"] for _ in range(2)]
    for _ in range(2):
        answer = await login.post("/v1/logout", json={"refresh_token": here})
        assert (answer.status, answer.text) == (204, "")
    assert (await login.post("/v1/logout", json={"refresh_token": "made.up"})).status == 204
    assert (await login.post("/v1/refresh", json={"refresh_token": here})).status == 401
    assert (await login.post("/v1/refresh", json={"refresh_token": there})).status == 200


async def test_sessions_survive_a_restart(stage: Stage) -> None:
    pair = (await (await stage.login()).post("/v1/login", json=LILEI)).body
    after = await stage.login()
    assert (await after.get("/v1/me", token=pair["access_token"])).status == 200
    assert (await after.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 200


async def test_a_guest_is_the_demo_customer_where_the_settings_say_so(stage: Stage) -> None:
    login = await stage.login(demo=True)
    first, second = [(await login.post("/v1/guest", json={})).body for _ in range(2)]
    who = await verifier(login).verify(first["access_token"])
    assert who.subject.startswith("guest-")
    assert who == Principal(
        subject=who.subject, tenant="default", roles=frozenset({"customer"}), scopes=frozenset(), customer="C1001"
    )
    assert (await verifier(login).verify(second["access_token"])).subject != who.subject
    renewed = (await login.post("/v1/refresh", json={"refresh_token": first["refresh_token"]})).body
    assert await verifier(login).verify(renewed["access_token"]) == who
    assert (await login.get("/v1/me", token=first["access_token"])).body["kind"] == "guest"


async def test_a_guest_is_nobody_where_the_settings_say_so(stage: Stage) -> None:
    login = await stage.login(guest_customer="")
    token = (await login.post("/v1/guest")).body["access_token"]
    assert (await verifier(login).verify(token)).customer is None


async def ended(login: Calls) -> set[str]:
    """What services are told to refuse."""
    return set((await login.get("/v1/revocations")).body["sessions"])


async def session_of(login: Calls, token: str) -> str:
    session = (await verifier(login).verify(token)).session
    assert session
    return session


async def test_services_are_told_which_sessions_were_ended(login: Calls) -> None:
    pairs = [(await login.post("/v1/login", json=LILEI)).body for _ in range(3)]
    names = [await session_of(login, pair["access_token"]) for pair in pairs]
    assert await ended(login) == set()
    await login.post("/v1/logout", json={"refresh_token": pairs[0]["refresh_token"]})
    assert await ended(login) == {names[0]}
    for _ in range(3):
        used = await login.post("/v1/refresh", json={"refresh_token": pairs[1]["refresh_token"]})
        await login.post("/v1/refresh", json={"refresh_token": (used.body or {}).get("refresh_token", "none")})
    assert await ended(login) == set(names[:2]), "a token that came back ends its session"


@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"customer": None},
        {"customer": "C1002"},
        {"roles": ["agent"]},
        {"roles": ["customer", "agent"]},
    ],
)
async def test_what_tokens_say_wrongly_is_said_no_longer(login: Calls, admin: str, change: dict[str, Any]) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    session = await session_of(login, pair["access_token"])
    account = (await login.get("/v1/me", token=pair["access_token"])).body["subject"]
    assert (await login.send("PATCH", f"/v1/accounts/{account}", json=change, token=admin)).status == 200
    assert await ended(login) == {session}
    assert (await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 401


async def test_a_change_of_nothing_that_tokens_say_ends_nothing(login: Calls, admin: str) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    account = (await login.get("/v1/me", token=pair["access_token"])).body["subject"]
    for change in ({"display_name": "李磊"}, {"roles": ["customer"]}, {"active": True, "customer": "C1001"}, {}):
        assert (await login.send("PATCH", f"/v1/accounts/{account}", json=change, token=admin)).status == 200
    assert await ended(login) == set()
    assert (await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 200


async def test_login_itself_refuses_the_tokens_of_an_ended_session(stage: Stage) -> None:
    login = await stage.login(revocations_seconds=0.05)
    pair = (await login.post("/v1/login", json=LILEI)).body
    assert (await login.get("/v1/me", token=pair["access_token"])).status == 200
    await login.post("/v1/logout", json={"refresh_token": pair["refresh_token"]})
    async with asyncio.timeout(10):
        while (await login.get("/v1/me", token=pair["access_token"])).status != 401:
            pass


async def test_own_sessions_are_listed_and_ended_one_by_one(login: Calls) -> None:
    here, there = [(await login.post("/v1/login", json=LILEI)).body for _ in range(2)]
    guest = (await login.post("/v1/guest")).body
    listed = (await login.get("/v1/sessions", token=here["access_token"])).body["sessions"]
    mine, other = [await session_of(login, pair["access_token"]) for pair in (here, there)]
    assert {each["id"]: each["current"] for each in listed} == {mine: True, other: False}
    path = f"/v1/sessions/{other}"
    assert (await login.send("DELETE", path, token=guest["access_token"])).status == 404, "that of somebody else"
    assert [(await login.send("DELETE", path, token=here["access_token"])).status for _ in range(2)] == [204, 404]
    assert (await login.post("/v1/refresh", json={"refresh_token": there["refresh_token"]})).status == 401
    assert (await login.post("/v1/refresh", json={"refresh_token": here["refresh_token"]})).status == 200
    assert (await login.send("DELETE", "/v1/sessions/made-up", token=here["access_token"])).status == 422
    assert (await login.get("/v1/sessions")).status == 401


async def test_staff_have_shorter_tokens(login: Calls) -> None:
    assert (await login.post("/v1/login", json=ADMIN)).body["expires_in"] == 300
    assert (await login.post("/v1/login", json=LILEI)).body["expires_in"] == 900
    assert (await login.post("/v1/guest")).body["expires_in"] == 900


@pytest.mark.parametrize("since", ["-1", "x", "nan", "inf", "1e300", ""])
async def test_a_moment_that_is_none_is_refused(login: Calls, since: str) -> None:
    assert (await login.get(f"/v1/revocations?since={since}")).status == 422
