"""Time as a test says it is."""

from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


class Clock:
    """What time it is, as the test says."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
