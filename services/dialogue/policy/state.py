"""A conversation's state between two events: small, bounded, and unchanged by a round trip through JSON."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from services.dialogue.assistant.values import QuickReply, Value

__all__ = ["MAX_FRAMES", "Finished", "Found", "Frame", "Mention", "Pending", "State"]

MAX_FRAMES = 4


class Found(Value):
    """A look-up's answer, kept for as long as the flow that asked for it."""

    found: bool
    data: dict[str, JsonValue] = Field(default_factory=dict)


class Pending(Value):
    """The question that the customer was asked last, or the look-up that business was.

    `name` is the slot, the confirming step or the look-up; `mark` says what exactly was asked, so that an answer to an
    older question is not taken for one to this; `carried` holds entities that an answer will need.
    """

    kind: Literal["slot", "confirm", "lookup", "retry", "intent", "person", "change"]
    name: str = ""
    mark: str = ""
    carried: dict[str, str] = Field(default_factory=dict)


class Frame(Value):
    """One flow under way. Slots are what the customer gave; `memo` is what was already said, confirmed and done;
    `offered` are the answers that were suggested for a slot, `others` what can be named although it was not.

    A flow is run from its top after every event and passes over what its memo holds, so what depends on a corrected
    slot is asked, looked up and said again, and nothing else is.
    """

    flow: str
    heard: str = ""
    slots: dict[str, str | None] = Field(default_factory=dict)
    memo: dict[str, str] = Field(default_factory=dict)
    lookups: dict[str, Found] = Field(default_factory=dict)
    offered: dict[str, tuple[QuickReply, ...]] = Field(default_factory=dict)
    others: dict[str, tuple[QuickReply, ...]] = Field(default_factory=dict)
    excluded: dict[str, str] = Field(default_factory=dict)
    attempts: dict[str, int] = Field(default_factory=dict)
    failures: int = 0
    mood: str = "neutral"
    committed: bool = False


class Finished(Value):
    """The flow that ended last, for a correction that comes when it is over."""

    flow: str
    slots: dict[str, str | None]
    committed: bool
    turn: int


class Mention(Value):
    """A value that the customer named, and the turn in which they did."""

    value: str
    turn: int


class State(Value):
    """Everything that `decide` knows about a conversation besides the event."""

    format: Literal[1] = 1
    language: str | None = None
    turn: Annotated[int, Field(ge=0)] = 0
    frames: tuple[Frame, ...] = ()
    pending: Pending | None = None
    options: tuple[QuickReply, ...] = ()
    misses: Annotated[int, Field(ge=0)] = 0
    actions: Annotated[int, Field(ge=0)] = 0
    mentions: dict[str, Mention] = Field(default_factory=dict)
    finished: Finished | None = None
    handed_off: bool = False
    lapsed: str | None = None
    """The flow whose confirmation was open when the session ended, until the customer is told."""
