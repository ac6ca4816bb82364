"""Attempts are counted in Redis: a lock comes in time, hits whom it should, and ends."""

import asyncio

import pytest

from tests.calls import Calls
from tests.integration.services.login.stage import LILEI, Stage


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
    here, there = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
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
    login = await stage.login(failure_window_seconds=0.5, failures_per_account=1)
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
    login = await stage.login(password_threads=1, password_queue=1, argon2_iterations=50, failures_per_account=30)
    wrong = {**LILEI, "password": "not the password"}
    answers = await asyncio.gather(*(login.post("/v1/login", json=wrong) for _ in range(30)))
    statuses = [each.status for each in answers]
    assert set(statuses) == {401, 503}
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers if each.status == 503)
    for _ in range(30 - statuses.count(401)):
        assert (await login.post("/v1/login", json=wrong)).status == 401
    assert (await login.post("/v1/login", json=wrong)).status == 429
