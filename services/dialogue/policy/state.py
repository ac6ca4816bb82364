"""A conversation's state between two events: small, bounded, and unchanged by a round trip through JSON."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, JsonValue

from services.dialogue.assistant.values import QuickReply, Value
from shared.contracts.base import unknown_as

__all__ = ["MAX_FRAMES", "MAX_SUBMITTED", "Finished", "Found", "Frame", "Mention", "Pending", "State", "Submitted"]

MAX_FRAMES = 4
MAX_SUBMITTED = 8


class Found(Value):
    """A look-up's answer, kept for as long as the flow that asked for it."""

    found: bool
    data: dict[str, JsonValue] = Field(default_factory=dict)


PendingKind = Literal["slot", "confirm", "lookup", "retry", "intent", "person", "change"]


class Pending(Value):
    """The question that the customer was asked last, or the look-up that business was.

    `name` is the slot, the confirming step or the look-up; `mark` says what exactly was asked, so that an answer to an
    older question is not taken for one to this; `carried` holds entities that an answer will need.
    """

    kind: PendingKind
    name: str = ""
    mark: str = ""
    carried: dict[str, str] = Field(default_factory=dict)


class Frame(Value):
    """One flow under way. Slots are what the customer gave; `memo` is what was already said, confirmed and done;
    `offered` are the answers that were suggested for a slot, `others` what can be named although it was not, `refused`
    what the customer said it is not.

    A flow is run from its top after every event and passes over what its memo holds, so what depends on a corrected
    slot is asked, looked up and said again, and nothing else is.
    """

    flow: str
    plan: str = ""
    """Which steps the flow had when it began; those of another release may be others."""
    heard: str = ""
    slots: dict[str, str | None] = Field(default_factory=dict)
    memo: dict[str, str] = Field(default_factory=dict)
    lookups: dict[str, Found] = Field(default_factory=dict)
    offered: dict[str, tuple[QuickReply, ...]] = Field(default_factory=dict)
    others: dict[str, tuple[QuickReply, ...]] = Field(default_factory=dict)
    excluded: dict[str, str] = Field(default_factory=dict)
    refused: dict[str, tuple[str, ...]] = Field(default_factory=dict)
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


def _if_known(value: Any) -> Any:
    """A question that only a later release asks is none: the next words confirm nothing and are read by themselves."""
    return None if isinstance(value, dict) and value.get("kind") not in get_args(PendingKind) else value


class Submitted(Value):
    """An action that the conversation has asked for, by its index, and what became of it; `about` is what it is for.

    A status that only a later release knows is read as pending: nothing is claimed to be done or undone.
    """

    index: int
    flow: str
    about: str = ""
    status: Annotated[
        Literal["pending", "awaiting_approval", "succeeded", "failed", "rejected"], unknown_as("pending")
    ] = "pending"

    @property
    def is_open(self) -> bool:
        """Whether it may still come to something else."""
        return self.status in ("pending", "awaiting_approval")

    @property
    def stands(self) -> bool:
        """Whether it was done, or still may be."""
        return self.is_open or self.status == "succeeded"


class State(Value):
    """Everything that `decide` knows about a conversation besides the event.

    Another `format` is refused: it is raised only where a release before could not go on from the state.
    """

    format: Literal[1] = 1
    language: str | None = None
    turn: Annotated[int, Field(ge=0)] = 0
    frames: tuple[Frame, ...] = ()
    pending: Annotated[Pending | None, BeforeValidator(_if_known)] = None
    options: tuple[QuickReply, ...] = ()
    misses: Annotated[int, Field(ge=0)] = 0
    actions: Annotated[int, Field(ge=0)] = 0
    mentions: dict[str, Mention] = Field(default_factory=dict)
    finished: Finished | None = None
    submitted: tuple[Submitted, ...] = ()
    lapsed: str | None = None
    """The flow whose confirmation was open when the session ended, until the customer is told."""
