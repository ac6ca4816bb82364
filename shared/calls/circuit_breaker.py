"""Circuit breakers: a failing dependency is not called for a moment, so that it does not slow every caller."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Breaker", "BreakerPolicy"]


@dataclass(frozen=True, kw_only=True)
class BreakerPolicy:
    """After `failures` in a row the breaker opens for `open_seconds`; then one trial call is let through."""

    failures: int = 3
    open_seconds: float = 2.0


class Breaker:
    """The breaker of one dependency: check `closed`, `admit` the call, `record` its outcome."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether a call may be made."""
        return self._failures < self._policy.failures or time.monotonic() >= self._retry_at

    def admit(self) -> None:
        """Marks a trial call, so that others wait for its outcome."""
        if self._failures >= self._policy.failures:
            self._retry_at = time.monotonic() + self._policy.open_seconds

    @contextmanager
    def trying(self, *failures: type[Exception]) -> Iterator[None]:
        """Records a call: `failures` count as failed, any other error as working; all errors pass through."""
        self.admit()
        try:
            yield
        except failures:
            self.record(success=False)
            raise
        except Exception:
            self.record(success=True)
            raise
        self.record(success=True)

    def record(self, *, success: bool) -> None:
        """Counts the outcome of a call."""
        if success:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= self._policy.failures:
            self._retry_at = time.monotonic() + self._policy.open_seconds
