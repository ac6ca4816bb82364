"""Look-ups: questions without effects that dialogue asks business during a turn."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from shared.contracts.base import Contract

__all__ = ["LookupAnswer", "LookupRequest"]


class LookupRequest(Contract):
    """Who asks (the customer's number, if they have one) and with which arguments."""

    customer: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    arguments: dict[str, Any] = Field(default_factory=dict, max_length=20)
    assistant: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] | None = None
    """Whose look-up it is; the installation's own assistant where nobody says so."""
    release: Annotated[str, StringConstraints(max_length=64)] | None = None
    """The release that asks; the one that is live where it is not kept any more."""
    language: Annotated[str, StringConstraints(max_length=8)] | None = None


class LookupAnswer(Contract):
    """What business found; another customer's data is answered exactly as data that does not exist."""

    name: str
    found: bool
    data: dict[str, Any] = Field(default_factory=dict)
