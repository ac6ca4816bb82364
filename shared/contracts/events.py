"""The conversation's transcript as clients read it."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from shared.contracts.base import Contract

__all__ = ["Event", "Option"]


class Option(Contract):
    """A quick reply that the customer may choose instead of typing."""

    id: str
    title: str


class Event(Contract):
    """One entry of a conversation; `seq` starts at 1 and has no gaps, whichever channel it is read through.

    `kind` is `message`, `reply`, `notice` or `handoff`, `sender` is `customer`, `assistant`, `agent` or `system`; a
    later release may add others, which a reader that does not know them shows as text or leaves out.
    """

    seq: Annotated[int, Field(ge=1)]
    kind: str
    sender: str
    text: str
    message_id: str | None = None
    in_reply_to: int | None = None
    options: tuple[Option, ...] = ()
    data: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime
