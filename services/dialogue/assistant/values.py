"""Values that an assistant's replies and the conversation's state are made of."""

import hashlib
import re

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "MAX_ID",
    "MAX_LOOKUPS",
    "MAX_LOOKUPS_A_TURN",
    "MAX_OPTIONS",
    "MAX_TEXT_KEPT",
    "QuickReply",
    "Say",
    "Value",
    "value_id",
]

MAX_OPTIONS = 10
MAX_LOOKUPS = 8
"""Of one flow."""
MAX_LOOKUPS_A_TURN = 20
MAX_TEXT_KEPT = 500
MAX_ID = 128
PLAIN = re.compile(r"[\w.:-]+")


class Value(BaseModel):
    """A piece of state or of a decision: compared by content, never changed.

    State is read by the releases before and after the one that wrote it, so unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class QuickReply(Value):
    """A quick reply that was offered: what choosing it means, and its title in each language."""

    id: str
    titles: dict[str, str]
    intent: str | None = None
    value: str | None = None
    words: tuple[str, ...] = ()


def value_id(slot: str, value: str) -> str:
    """The id of the quick reply that gives a slot a value; short and without spaces, whatever the value is."""
    known = f"value:{slot}:{value}"
    if len(known) <= MAX_ID and PLAIN.fullmatch(known):
        return known
    return f"value:{slot}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"


class Say(Value):
    """One reply: its name, and everything that the renderer needs to write it the same way every time."""

    name: str
    language: str
    variant: int = 0
    variables: dict[str, JsonValue] = Field(default_factory=dict)
    options: tuple[QuickReply, ...] = ()
    source: str | None = None
