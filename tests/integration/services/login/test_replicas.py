"""Two replicas of login over one real PostgreSQL, asked at the same moment."""

import asyncio

import pytest

from tests.calls import Calls
from tests.integration.services.login.stage import ADMIN, LILEI, Stage
from tests.postgres import Postgres

Replicas = tuple[Calls, Calls]


@pytest.fixture
async def url(postgres: Postgres) -> str:
    return await postgres.new_database()


@pytest.fixture
async def replicas(stage: Stage, url: str) -> Replicas:
    """Both start together on an empty database: they migrate, make keys and apply the bootstrap file."""
    first, second = await asyncio.gather(*(stage.login(database_url=url) for _ in range(2)))
    return first, second


async def test_they_are_one_login(replicas: Replicas) -> None:
    first, second = replicas
    assert (await first.get("/.well-known/jwks.json")).body == (await second.get("/.well-known/jwks.json")).body
    pair = (await first.post("/v1/login", json=LILEI)).body
    assert (await second.get("/v1/me", token=pair["access_token"])).body["customer"] == "C1001"
    client = {
        "grant_type": "client_credentials",
        "client_id": "dialogue",
        "client_secret": "s" * 40,
        "audience": "intent",
    }
    assert (await second.post("/v1/token", json=client)).status == 200
    admin = (await second.post("/v1/login", json=ADMIN)).body["access_token"]
    accounts = (await first.get("/v1/accounts", token=admin)).body["accounts"]
    assert [each["username"] for each in accounts] == ["admin", "lilei"]
    events = (await first.get("/v1/audit", token=admin)).body["events"]
    assert [each["event"] for each in events].count("account_created") == 2


async def test_a_name_is_given_once(replicas: Replicas) -> None:
    body = {"username": "newcomer", "password": "a fine password"}
    answers = await asyncio.gather(*(each.post("/v1/register", json=body) for each in replicas * 4))
    assert sorted(each.status for each in answers) == [201] + [409] * 7


async def test_one_refresh_token_at_both_has_one_successor(replicas: Replicas) -> None:
    token = (await replicas[0].post("/v1/login", json=LILEI)).body["refresh_token"]
    for _ in range(3):
        answers = await asyncio.gather(
            *(each.post("/v1/refresh", json={"refresh_token": token}) for each in replicas * 4)
        )
        assert {each.status for each in answers} == {200}
        (token,) = {each.body["refresh_token"] for each in answers}


async def test_a_token_that_comes_back_ends_the_session_at_both(stage: Stage, url: str) -> None:
    replicas = [await stage.login(database_url=url, refresh_grace_seconds=0) for _ in range(2)]
    token = (await replicas[0].post("/v1/login", json=LILEI)).body["refresh_token"]
    answers = await asyncio.gather(*(each.post("/v1/refresh", json={"refresh_token": token}) for each in replicas * 4))
    assert sorted(each.status for each in answers) == [200] + [401] * 7
    following = next(each for each in answers if each.status == 200).body["refresh_token"]
    for each in replicas:
        assert (await each.post("/v1/refresh", json={"refresh_token": following})).status == 401


async def test_no_session_of_an_old_password_outlives_its_change(replicas: Replicas) -> None:
    pair = (await replicas[0].post("/v1/login", json=LILEI)).body
    change = {"current": LILEI["password"], "new": "a fine new password"}
    changing = replicas[0].post("/v1/password", json=change, token=pair["access_token"])
    answers = await asyncio.gather(changing, *(each.post("/v1/login", json=LILEI) for each in replicas * 3))
    changed, entered = answers[0], [each for each in answers[1:] if each.status == 200]
    assert changed.status == 200
    for each in entered:
        renewed = await replicas[1].post("/v1/refresh", json={"refresh_token": each.body["refresh_token"]})
        assert renewed.status == 401
    kept = await replicas[1].post("/v1/refresh", json={"refresh_token": changed.body["refresh_token"]})
    assert kept.status == 200


async def test_failures_are_counted_together(replicas: Replicas) -> None:
    wrong = {**LILEI, "password": "not the password"}
    answers = await asyncio.gather(*(each.post("/v1/login", json=wrong) for each in replicas * 10))
    assert sorted(each.status for each in answers) == [401] * 10 + [429] * 10
