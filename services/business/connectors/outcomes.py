"""What can come of a call to a company's system.

Everything that is no answer is one of three: nothing happened, so it may be tried again; nobody knows; or the system
refused in a way that nobody declared, which no repetition changes.
"""

from dataclasses import dataclass, field
from typing import Any

from shared.errors import Problem, ZhiyinError

__all__ = [
    "ConnectionLost",
    "Done",
    "NothingHappened",
    "OutcomeUnknown",
    "Refused",
    "SystemAway",
    "SystemRefused",
    "UnusableAnswer",
]


@dataclass(frozen=True)
class Done:
    """The effect was made; `data` are the declared fields of the system's answer."""

    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """The effect was not made, and will not be; `code` says why."""

    code: str
    data: dict[str, Any] = field(default_factory=dict)


class NothingHappened(ZhiyinError):
    """The system certainly did nothing; `again_after` are the seconds that it asks to be left alone, if it says so."""

    def __init__(self, why: str, again_after: float | None = None) -> None:
        super().__init__(why)
        self.again_after = again_after


class OutcomeUnknown(ZhiyinError):
    """The call may have reached the system, and what it did is not known."""


class ConnectionLost(OutcomeUnknown):
    """The connection broke after it was used; a question may be asked again at once."""


class UnusableAnswer(OutcomeUnknown):
    """The system answered something else than the connector declares."""


class SystemRefused(ZhiyinError):
    """The system refused with a status that the connector does not know: a fault that a person must look at."""


class SystemAway(Problem):
    """A company's system cannot be asked now. Its type tells callers that this service itself works."""

    status, kind, title = 503, "system-away", "A company's system is away"
