"""Buckets of tokens: what flows in, what is taken, and what is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from services.dialogue.limits import Buckets, Rate, address_of
from services.dialogue.settings import Settings

RATE = Rate(name="things", per_minute=60, burst=4)


class Time:
    def __init__(self) -> None:
        self.moment = 0.0

    def __call__(self) -> float:
        return self.moment


def test_a_burst_passes_and_then_the_rate() -> None:
    time = Time()
    buckets = Buckets(clock=time)
    assert [buckets.take(RATE, "me") for _ in range(4)] == [0.75, 0.5, 0.25, 0.0]
    assert buckets.take(RATE, "me") == -1, "seconds until the next"
    time.moment += 0.5
    assert buckets.take(RATE, "me") == -0.5, "a refusal takes nothing"
    time.moment += 0.5
    assert buckets.take(RATE, "me") == 0
    assert buckets.take(RATE, "another") == 0.75
    assert buckets.take(Rate(name="others", per_minute=60, burst=4), "me") == 0.75


def test_a_bucket_has_a_bottom_and_a_top() -> None:
    time = Time()
    buckets = Buckets(clock=time)
    buckets.take(RATE, "me")
    time.moment += 1e9
    assert buckets.take(RATE, "me") == 0.75


@given(pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_never_more_than_a_burst_and_what_flowed_in(pauses: list[float]) -> None:
    time = Time()
    buckets = Buckets(clock=time)
    passed = 0
    for pause in pauses:
        time.moment += pause
        passed += buckets.take(RATE, "me") >= 0
    assert passed <= RATE.burst + time.moment * RATE.per_second + 1e-6


def test_the_one_that_was_not_seen_for_longest_is_forgotten() -> None:
    buckets = Buckets(clock=Time(), most=2)
    buckets.take(RATE, "first")
    buckets.take(RATE, "second")
    buckets.take(RATE, "first")
    buckets.take(RATE, "third")
    assert buckets.take(RATE, "first") == 0.25
    assert buckets.take(RATE, "second") == 0.75


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        ((), [(b"x-forwarded-for", b"203.0.113.7")], "10.0.0.9"),
        (("10.0.0.0/8",), [(b"x-forwarded-for", b"203.0.113.7")], "203.0.113.7"),
        (("10.0.0.0/8",), [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", b"203.0.113.7")], "203.0.113.7"),
        (("10.0.0.0/8",), [], "10.0.0.9"),
    ],
)
def test_the_address_is_what_trusted_proxies_say(
    proxies: tuple[str, ...], headers: list[tuple[bytes, bytes]], address: str
) -> None:
    scope: Scope = {"type": "http", "client": ("10.0.0.9", 4711), "headers": headers}
    assert address_of(scope, Settings.model_validate({"trusted_proxies": proxies})) == address


def test_without_a_peer_nobody_knows() -> None:
    assert address_of({"type": "http", "client": None, "headers": []}, Settings()) == "unknown"
