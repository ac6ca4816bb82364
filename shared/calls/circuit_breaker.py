"""Circuit breakers: what has failed is left alone for a moment, so that one slow failure does not slow everybody."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Breaker", "BreakerPolicy"]


@dataclass(frozen=True, kw_only=True)
class BreakerPolicy:
    """After `failures` in a row a thing is left alone for `open_seconds`, then tried by one call."""

    failures: int = 3
    open_seconds: float = 2.0


class Breaker:
    """The breaker of one thing: ask whether it is `closed`, `admit` the call, and `record` how it went."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether a call may be tried."""
        return self._failures < self._policy.failures or time.monotonic() >= self._retry_at

    def admit(self) -> None:
        """Marks a trial call, so that the others keep waiting for its outcome."""
        if self._failures >= self._policy.failures:
            self._retry_at = time.monotonic() + self._policy.open_seconds

    @contextmanager
    def trying(self, *failures: type[Exception]) -> Iterator[None]:
        """A call: one of these errors says that the thing has failed, any other that it works; all are passed on."""
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
        """Counts how a call went."""
        if success:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= self._policy.failures:
            self._retry_at = time.monotonic() + self._policy.open_seconds
