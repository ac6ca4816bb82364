"""Circuit breakers."""

import pytest

from shared.calls.circuit_breaker import Breaker, BreakerPolicy
from tests.clocks import Clock


def fail(breaker: Breaker, error: Exception) -> None:
    with pytest.raises(type(error)), breaker.trying(OSError):
        raise error


def test_it_opens_after_so_many_failures_in_a_row_and_lets_one_try() -> None:
    breaker = Breaker(BreakerPolicy(failures=2, open_seconds=0.0))
    fail(breaker, OSError())
    with breaker.trying(OSError):
        pass
    fail(breaker, OSError())
    assert breaker.closed, "two in a row, not two in all"
    forever = Breaker(BreakerPolicy(failures=1, open_seconds=3600.0))
    fail(forever, OSError())
    assert not forever.closed
    forever.record(success=True)
    assert forever.closed


def test_only_one_call_tries_whether_it_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("shared.calls.circuit_breaker.time.monotonic", lambda: clock().timestamp())
    breaker = Breaker(BreakerPolicy(failures=1, open_seconds=10.0))
    fail(breaker, OSError())
    seen = [breaker.closed]
    clock.advance(10)
    seen.append(breaker.closed)
    with breaker.trying(OSError):
        seen.append(breaker.closed)
    assert seen == [False, True, False], "the others wait for the outcome"
    assert breaker.closed


def test_another_error_says_that_it_works() -> None:
    breaker = Breaker(BreakerPolicy(failures=1, open_seconds=3600.0))
    fail(breaker, ConnectionError())
    breaker.record(success=True)
    fail(breaker, ValueError())
    assert breaker.closed
