"""What people decide about actions: approvals, and what becomes of those that were given up.

Business decides and keeps who did; dialogue leads staff there from outside.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, StrictBool, StringConstraints

from shared.contracts.base import Contract, RequestBody

__all__ = [
    "ActionView",
    "ApprovalList",
    "ApprovalView",
    "DeadLetterList",
    "DeadLetterView",
    "DecisionRequest",
    "Dismissal",
    "Resolution",
    "Verdict",
    "printable",
]

Verdict = Literal["approve", "reject"]


def printable(value: object) -> object:
    """Text without control characters; no database and no page wants them."""
    if not isinstance(value, str):
        return value
    return "".join(character if character.isprintable() else " " for character in value)


def _nothing(value: object) -> object:
    """A field that was left empty was not given."""
    return None if isinstance(value, str) and not value.strip() else value


# The cleaning stands behind the limits and is done before them.
Note = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), BeforeValidator(printable)
]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class ApprovalView(Contract):
    """What a person decides on: the action's title by language, its arguments, and what is known about it."""

    title: dict[str, str] | None
    arguments: dict[str, Any]
    facts: dict[str, Any]
    expires_at: datetime
    reminders: int
    reminded_at: datetime | None
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None
    note: str | None


class ActionView(Contract):
    """An action and what became of it; `version` counts its results, 0 while there is none."""

    id: str
    name: str
    status: str
    customer: str | None
    conversation_id: str
    attempts: int
    version: int
    data: dict[str, Any]
    error_code: str | None
    created_at: datetime
    updated_at: datetime
    approval: ApprovalView | None = None


class ApprovalList(Contract):
    """Actions that wait for a person, oldest first; `next_after` is null on the last page."""

    approvals: Sequence[ActionView]
    next_after: int | None


class DecisionRequest(RequestBody):
    """A person's yes or no, and why."""

    decision: Verdict
    note: Annotated[Note | None, BeforeValidator(_nothing)] = None


class DeadLetterView(Contract):
    """An action that was given up."""

    id: int
    action_id: str | None
    name: str | None
    error: str
    attempts: int
    payload: str
    created_at: datetime
    retried_at: datetime | None
    retried_by: str | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_because: str | None
    step: int | None = None
    """Which call of the action it is about, where it is about one: 0 is the action's own, others are steps."""
    undo: bool | None = None
    """Whether that call takes the step back."""
    happened: bool | None = None
    """What was found out about a call of which nobody knew; `dismissed_by` and `dismissed_because` say who and why."""


class DeadLetterList(Contract):
    """Actions that were given up, oldest first; `next_after` is null on the last page."""

    dead_letters: Sequence[DeadLetterView]
    next_after: int | None


class Resolution(RequestBody):
    """What became of a call of which nobody knew, and how that was found out."""

    happened: StrictBool
    note: Reason


class Dismissal(RequestBody):
    """Why nothing more is to be done."""

    reason: Reason
