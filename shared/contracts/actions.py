"""Actions: effects that dialogue asks business for, and what became of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import Contract

__all__ = ["PERFORM_TASK", "ActionRequest", "ActionResult", "ActionStatus"]

PERFORM_TASK = "business.perform"

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]

ActionStatus = Literal["succeeded", "failed", "rejected", "awaiting_approval"]
"""Closed: a status that is not known here is neither a success nor a failure, so such a result is refused. The action
stays open, is sent again, and business answers with the same result until a release reads it that knows it."""


class ActionRequest(Contract):
    """One effect, named by its id: performing the same id twice has the effect of once."""

    id: Identifier
    tenant: Identifier
    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z_]+$")]
    customer: Annotated[str, StringConstraints(max_length=64)] | None = None
    conversation_id: Identifier
    arguments: dict[str, Any] = Field(default_factory=dict)
    requested_at: datetime


class ActionResult(Contract):
    """What became of an action; an interim status (`awaiting_approval`) is followed by a result of a higher version."""

    action_id: Identifier
    tenant: Identifier
    name: str
    conversation_id: Identifier
    status: ActionStatus
    version: Annotated[int, Field(ge=1)] = 1
    data: dict[str, Any] = Field(default_factory=dict)
    error_code: str | None = None

    @property
    def final(self) -> bool:
        """Whether no further result will follow."""
        return self.status != "awaiting_approval"
