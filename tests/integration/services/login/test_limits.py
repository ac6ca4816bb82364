"""Attempts are counted in Redis: a lock comes in time, hits whom it should, and ends."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from services.login.limits import Limits, Locked, connect
from services.login.settings import Settings
from tests.calls import Calls
from tests.externals import Redis
from tests.integration.services.login.stage import ADMIN, CLIENT, LILEI, Gateway, Stage


@pytest.mark.parametrize("username", ["lilei", "nobody"])
async def test_after_too_many_failures_not_even_the_right_password_helps(login: Calls, username: str) -> None:
    wrong = {"username": username, "password": "not the password"}
    statuses = [(await login.post("/v1/login", json=wrong)).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    answer = await login.post("/v1/login", json={**LILEI, "username": username})
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 900


async def test_guesses_at_the_same_moment_are_counted_too(login: Calls) -> None:
    wrong = {"username": "lilei", "password": "not the password"}
    answers = await asyncio.gather(*(login.post("/v1/login", json=wrong) for _ in range(30)))
    assert sorted(each.status for each in answers) == [401] * 10 + [429] * 20


async def test_a_success_forgets_the_failures(login: Calls) -> None:
    for _ in range(3):
        for _ in range(9):
            assert (await login.post("/v1/login", json={**LILEI, "password": "wrong one"})).status == 401
        assert (await login.post("/v1/login", json=LILEI)).status == 200


async def test_the_lock_of_one_address_does_not_lock_another(stage: Stage) -> None:
    login = await stage.login(failures_per_address=3)
    gateway = await Gateway.to(login)
    here, there = gateway.speaks_for("203.0.113.7"), gateway.speaks_for("203.0.113.8")
    for number in range(3):
        wrong = {"username": f"nobody{number}", "password": "wrong one"}
        assert (await login.post("/v1/login", json=wrong, headers=here)).status == 401
    assert (await login.post("/v1/login", json=LILEI, headers=here)).status == 429
    assert (await login.post("/v1/login", json=LILEI, headers=there)).status == 200


async def test_successes_use_up_nothing_of_an_address(stage: Stage) -> None:
    login = await stage.login(failures_per_address=2)
    for _ in range(5):
        assert (await login.post("/v1/login", json=LILEI)).status == 200


async def test_a_lock_ends(stage: Stage) -> None:
    login = await stage.login(failure_window_seconds=0.5, failures_per_account_and_address=1)
    wrong = {**LILEI, "password": "wrong one"}
    assert (await login.post("/v1/login", json=wrong)).status == 401
    async with asyncio.timeout(10):
        while (await login.post("/v1/login", json=LILEI)).status != 200:
            pass


async def test_registrations_and_guests_are_limited_by_address(stage: Stage) -> None:
    login = await stage.login(registrations_per_address=1, requests_per_address=1)
    newcomer = {"username": "hanmeimei", "password": "my own password"}
    assert (await login.post("/v1/register", json=newcomer)).status == 201
    again = await login.post("/v1/register", json={**newcomer, "username": "another"})
    assert again.status == 429
    assert [(await login.post("/v1/guest")).status for _ in range(2)] == [200, 429]


async def test_a_log_in_that_finds_no_room_counts_as_no_failure(stage: Stage) -> None:
    login = await stage.login(
        password_threads=1, password_queue=1, argon2_iterations=50, failures_per_account_and_address=30
    )
    wrong = {**LILEI, "password": "not the password"}
    answers = await asyncio.gather(*(login.post("/v1/login", json=wrong) for _ in range(30)))
    statuses = [each.status for each in answers]
    assert set(statuses) == {401, 503}
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers if each.status == 503)
    for _ in range(30 - statuses.count(401)):
        assert (await login.post("/v1/login", json=wrong)).status == 401
    assert (await login.post("/v1/login", json=wrong)).status == 429


WRONG = {**LILEI, "password": "not the password"}


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-Address", "True-Client-IP", "CF-Connecting-IP"]
)
async def test_nobody_chooses_the_address_that_is_counted(stage: Stage, header: str) -> None:
    login = await stage.login(failures_per_address=2)
    for number in range(2):
        wrong = {"username": f"nobody{number}", "password": "wrong one"}
        assert (await login.post("/v1/login", json=wrong, headers={header: f"203.0.113.{number}"})).status == 401
    assert (await login.post("/v1/login", json=LILEI, headers={header: "203.0.113.9"})).status == 429


async def test_only_the_gateways_own_token_says_where_a_request_comes_from(stage: Stage) -> None:
    login = await stage.login(failures_per_address=2)
    admin = (await login.post("/v1/login", json=ADMIN)).body["access_token"]
    for_another = (await login.post("/v1/token", json=CLIENT)).body["access_token"]
    for number, token in enumerate((admin, for_another, "rubbish", "")):
        headers = {"X-Client-Address": f"203.0.113.{number}", "X-Gateway-Token": token}
        answer = await login.post("/v1/login", json={"username": "nobody", "password": "wrong one"}, headers=headers)
        assert answer.status == (401 if number < 2 else 429)
    known = (await Gateway.to(login)).speaks_for("203.0.113.9")
    assert (await login.post("/v1/login", json=LILEI, headers=known)).status == 200


async def test_addresses_of_one_ipv6_network_are_one_party(stage: Stage) -> None:
    login = await stage.login(failures_per_account_and_address=2)
    gateway = await Gateway.to(login)
    statuses = [
        (await login.post("/v1/login", json=WRONG, headers=gateway.speaks_for(f"2001:db8:1:2::{number}"))).status
        for number in range(3)
    ]
    assert statuses == [401, 401, 429]
    other = gateway.speaks_for("2001:db8:1:3::1")
    assert (await login.post("/v1/login", json=LILEI, headers=other)).status == 200


async def test_who_locks_an_account_locks_it_for_themselves(login: Calls) -> None:
    gateway = await Gateway.to(login)
    enemy, home = gateway.speaks_for("198.51.100.1"), gateway.speaks_for("203.0.113.7")
    statuses = [(await login.post("/v1/login", json=WRONG, headers=enemy)).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert (await login.post("/v1/login", json=LILEI, headers=home)).status == 200
    # What succeeded at home forgets nothing of the enemy's.
    assert (await login.post("/v1/login", json=LILEI, headers=enemy)).status == 429


async def attack(login: Calls, places: int, each: int) -> list[int]:
    """Wrong passwords of lilei from many addresses; the statuses."""
    gateway = await Gateway.to(login)
    return [
        (await login.post("/v1/login", json=WRONG, headers=gateway.speaks_for(f"198.51.100.{place}"))).status
        for place in range(places)
        for _ in range(each)
    ]


async def test_a_known_device_passes_what_others_have_locked(stage: Stage) -> None:
    login = await stage.login(failures_in_all=6, failures_per_account_and_address=3, failure_delay_seconds=0)
    home = (await Gateway.to(login)).speaks_for("203.0.113.7")
    device = (await login.post("/v1/login", json=LILEI, headers=home)).body["device"]
    assert await attack(login, places=4, each=2) == [401] * 6 + [429] * 2
    assert (await login.post("/v1/login", json=LILEI, headers=home)).status == 429, "attempts are bounded in total"
    assert (await login.post("/v1/login", json={**LILEI, "device": device}, headers=home)).status == 200
    # Neither does it help to share the owner's address.
    assert (await login.post("/v1/login", json=WRONG, headers=home)).status == 429
    assert (await login.post("/v1/login", json={**LILEI, "device": device}, headers=home)).status == 200


async def test_a_known_device_has_few_guesses_of_its_own(login: Calls) -> None:
    device = (await login.post("/v1/login", json=LILEI)).body["device"]
    statuses = [(await login.post("/v1/login", json={**WRONG, "device": device})).status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert (await login.post("/v1/login", json=LILEI)).status == 200


async def test_a_device_is_known_to_its_account_until_the_password_changes(stage: Stage) -> None:
    login = await stage.login(failures_in_all=1, failure_delay_seconds=0)
    pair = (await login.post("/v1/login", json=LILEI)).body
    of_another = (await login.post("/v1/login", json=ADMIN)).body["device"]
    change = {"current": LILEI["password"], "new": "another long password"}
    changed = await login.post("/v1/password", json=change, token=pair["access_token"])
    now = {**LILEI, "password": change["new"]}
    assert (await login.post("/v1/login", json=WRONG)).status == 401
    head, _, mac = changed.body["device"].rpartition(".")
    forged = (pair["device"], of_another, "x", "..", f"9{head}.{mac}", f"{head}.{'0' * 64}", "李.雷.梅")
    for device in forged:
        assert (await login.post("/v1/login", json={**now, "device": device})).status == 429, device
    assert (await login.post("/v1/login", json={**now, "device": changed.body["device"]})).status == 200


async def test_a_lock_of_staff_is_counted_apart(stage: Stage) -> None:
    login = await stage.login(failures_per_account_and_address=1)

    async def locks(who: str) -> float:
        line = f'zhiyin_login_locks_total{{limit="pair",who="{who}"}}'
        found = [each for each in (await login.get("/metrics")).text.splitlines() if each.startswith(line)]
        return float(found[0].rpartition(" ")[2])

    names = ("staff", "customer", "nobody")
    before = [await locks(who) for who in names]
    for username in ("admin", "lilei", "stranger"):
        for _ in range(3):
            await login.post("/v1/login", json={"username": username, "password": "not the password"})
    assert [await locks(who) - old for who, old in zip(names, before, strict=True)] == [1, 1, 1]


async def test_counters_of_an_installation_are_its_own(stage: Stage) -> None:
    own: dict[str, Any] = {"redis_url": stage.redis.url, "failures_per_account_and_address": 1}
    login = await stage.login(installation="first", **own)
    other = await stage.login(installation="second", **own)
    assert [(await login.post("/v1/login", json=WRONG)).status for _ in range(2)] == [401, 429]
    assert (await other.post("/v1/login", json=WRONG)).status == 401
    client = Client.from_url(stage.redis.url, decode_responses=True)
    assert {str(key).partition(":")[0] for key in await client.keys()} == {"first", "second"}
    await client.aclose()


async def test_renewals_are_limited_by_address(stage: Stage) -> None:
    login = await stage.login(requests_per_address=2)
    rubbish = {"refresh_token": "made.up"}
    assert [(await login.post("/v1/refresh", json=rubbish)).status for _ in range(3)] == [401, 401, 429]


async def test_far_too_many_guesses_from_everywhere_are_slowed_down_before_they_are_refused(redis: Redis) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    settings = Settings(failures_per_account=3, failures_in_all=5, failure_delay_seconds=2)
    limits = Limits(connect(redis.url), settings, sleep=sleep)
    pauses = []
    for number in range(5):
        await limits.begin("lilei", f"198.51.100.{number}")
        pauses.append(len(waited))
    assert (pauses, waited) == ([0, 0, 0, 1, 2], [2, 2])
    with pytest.raises(Locked):
        await limits.begin("lilei", "203.0.113.7")
    await limits.begin("lilei", "203.0.113.7", device="known")
    await limits.begin("hanmeimei", "203.0.113.7")
    assert len(waited) == 2
    await limits.close()
