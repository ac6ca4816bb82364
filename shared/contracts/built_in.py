"""What every assistant with connectors has besides what its company's systems offer: the customer's own actions.

Business answers these itself; dialogue offers them to flows; no connector has a look-up or an action of these names.
"""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, Field

from shared.contracts.actions import Identifier
from shared.contracts.base import Contract

__all__ = [
    "SUBMITTED_ACTIONS",
    "WITHDRAW_ACTION",
    "SubmittedAction",
    "SubmittedActions",
    "WithdrawArguments",
    "Withdrawn",
    "fields_declared",
]

SUBMITTED_ACTIONS = "submitted_actions"
"""The look-up without arguments that is answered with `SubmittedActions`."""
WITHDRAW_ACTION = "withdraw_action"
"""The action with `WithdrawArguments` whose data is `Withdrawn`."""


class SubmittedAction(Contract):
    """One action of the customer's, and how far it has come."""

    id: str
    name: str
    status: str
    code: str | None = None
    """Why it was not done, or is not known to have been."""
    submitted_at: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    open: bool
    """Whether its end is still to come."""


class SubmittedActions(Contract):
    """The customer's newest actions, the newest first; `first` is the newest of those that are still open."""

    actions: list[SubmittedAction]
    count: int
    open: list[SubmittedAction]
    open_count: int
    first: SubmittedAction | None = None


class WithdrawArguments(Contract):
    """Which action is withdrawn."""

    action: Identifier


class Withdrawn(Contract):
    """The action that was withdrawn, or that could not be."""

    action: str
    name: str


def fields_declared(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of an answer's fields; what is in each item of a list stands below the list."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from fields_declared(part, f"{prefix}{name}.")
