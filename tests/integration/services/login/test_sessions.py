"""Sessions: one live token each, for people and guests, until they end."""

import asyncio

from shared.http.auth import Principal
from tests.calls import Calls
from tests.integration.services.login.stage import LILEI, Stage, verifier


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
