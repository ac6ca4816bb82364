"""Actions: effects that dialogue asks business for, and what became of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import Contract

__all__ = ["ActionReceipt", "ActionReference", "ActionRequest", "ActionResult", "ActionStatus", "Identifier"]

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]

ActionStatus = Literal["succeeded", "failed", "rejected", "awaiting_approval"]
"""Closed: a status that is not known here is neither a success nor a failure, so such a result is refused. The action
stays open, is sent again, and business answers with the same result until a release reads it that knows it."""


class ActionReference(Contract):
    """Which action is meant. The queue carries nothing else: whoever writes to it can name an action, not make one."""

    id: Identifier
    tenant: Identifier


class ActionRequest(ActionReference):
    """One effect, named by its id: performing the same id twice has the effect of once."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
    customer: Annotated[str, StringConstraints(max_length=64)] | None = None
    conversation_id: Identifier
    arguments: dict[str, Any] = Field(default_factory=dict)
    requested_at: datetime
    assistant: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] | None = None
    """Whose action it is; the installation's own assistant where nobody says so."""
    release: Annotated[str, StringConstraints(max_length=64)] | None = None
    """The release that asked for it, which also performs it as long as it is kept; else the one that is live."""
    language: Annotated[str, StringConstraints(max_length=8)] | None = None
    request_id: RequestId | None = None
    """The id in the logs of the customer's message that led to it."""


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


class ActionReceipt(Contract):
    """Business has the action in its ledger and will perform it; `result` is the newest, if there is one."""

    id: Identifier
    result: ActionResult | None = None
