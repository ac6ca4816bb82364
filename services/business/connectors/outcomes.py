"""What becomes of a call to a company's system: two outcomes, and three errors that say what is known."""

from dataclasses import dataclass, field
from typing import Any

from shared.errors import ZhiyinError

__all__ = ["Done", "NothingHappened", "OutcomeUnknown", "Refused", "SystemRefused"]


@dataclass(frozen=True)
class Done:
    """It happened; `data` is the answer."""

    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """It did not happen, for a reason that the customer is told."""

    code: str
    data: dict[str, Any] = field(default_factory=dict)


class NothingHappened(ZhiyinError):
    """The system was not reached, or said that it did nothing; after so many seconds it wants to be asked again."""

    def __init__(self, why: str = "", *, again_after: float | None = None) -> None:
        super().__init__(why)
        self.again_after = again_after


class OutcomeUnknown(ZhiyinError):
    """The call may have reached the system, and nobody knows what it did."""


class SystemRefused(ZhiyinError):
    """The system does not take the call as it is made, which a person has to look into; nothing happened."""
