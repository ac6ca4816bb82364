"""Sessions that were ended: who is told, for how long, and what happens while login is away."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.http.health import Health
from shared.http.revocations import Revocations

KEPT = 100.0


class Login:
    """Login's list, and a clock for who reads it."""

    def __init__(self) -> None:
        self.moment = 1000.0
        self.ended: dict[str, float] = {}
        self.asked: list[float] = []
        self.away = False
        self.read = asyncio.Event()
        """Set when a second reading begins: the first has been taken in by then."""
        self.revocations = Revocations(self.fetch, period=0.001, clock=lambda: self.moment)

    async def fetch(self, since: float) -> Mapping[str, Any]:
        if self.away:
            raise Unavailable("not now")
        self.asked.append(since)
        if len(self.asked) > 1:
            self.read.set()
        return {
            "now": self.moment,
            "kept_seconds": KEPT,
            "sessions": [session for session, at in self.ended.items() if at >= since],
        }


@pytest.fixture
def login() -> Login:
    return Login()


async def test_a_session_is_refused_until_its_last_token_is_over(login: Login) -> None:
    login.ended["a"] = login.moment
    assert not login.revocations.cover("a")
    await login.revocations.read()
    assert login.revocations.cover("a")
    assert not login.revocations.cover("b")
    assert not login.revocations.cover(None)
    login.ended.clear()
    login.moment += KEPT
    await login.revocations.read()
    assert not login.revocations.cover("a")


async def test_what_was_committed_late_is_seen(login: Login) -> None:
    await login.revocations.read()
    login.moment += 2
    await login.revocations.read()
    login.ended["late"] = login.moment - 10
    await login.revocations.read()
    assert login.revocations.cover("late")


async def test_now_and_then_everything_is_asked_for_again(login: Login) -> None:
    await login.revocations.read()
    login.ended["very late"] = login.moment - 90
    login.moment += 30
    await login.revocations.read()
    assert not login.revocations.cover("very late")
    login.moment += 30
    await login.revocations.read()
    assert login.revocations.cover("very late")
    assert login.asked == [0, 970, 0]


async def test_while_login_is_away_what_is_known_stays(login: Login) -> None:
    login.ended["a"] = login.moment
    await login.revocations.read()
    login.away = True
    await login.revocations.read()
    assert login.revocations.cover("a")
    login.away = False
    login.ended["b"] = login.moment
    await login.revocations.read()
    assert login.revocations.cover("b")


@pytest.mark.parametrize("answer", [{}, {"keys": []}, {"now": "x", "kept_seconds": 1, "sessions": []}, {"now": 1}, []])
async def test_an_answer_that_is_none_changes_nothing(answer: Any) -> None:
    async def fetch(_since: float) -> Any:
        return answer

    revocations = Revocations(fetch, period=60)
    await revocations.read()
    assert not revocations.cover("a")


async def test_nobody_is_asked_before_a_session_was_seen(login: Login) -> None:
    login.ended["a"] = login.moment
    health = Health({})
    following = asyncio.create_task(login.revocations.follow(health))
    login.revocations.cover(None)
    await asyncio.sleep(0)
    assert login.asked == []
    login.revocations.cover("b")
    await asyncio.wait_for(login.read.wait(), 10)
    assert login.revocations.cover("a")
    assert health.stalled() == []
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
