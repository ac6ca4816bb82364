"""What comes into `decide` and what comes out of it."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from services.dialogue.assistant.values import MAX_ID, Say, Value
from services.dialogue.policy.state import State
from shared.contracts.actions import ActionResult
from shared.contracts.understanding import MAX_TEXT, Understanding

__all__ = [
    "ActionCall",
    "ActionFinished",
    "Chosen",
    "Decision",
    "HandoffCall",
    "LookedUp",
    "LookupCall",
    "LookupFailed",
    "Opened",
    "Origin",
    "SessionExpired",
    "TurnEvent",
    "UnderstandingUnavailable",
    "Understood",
]


class Opened(Value):
    """The conversation begins; the customer has said nothing yet."""

    kind: Literal["opened"] = "opened"
    language: str | None = None


class Understood(Value):
    """The customer wrote something and the model says what it means."""

    kind: Literal["understood"] = "understood"
    understanding: Understanding


class Chosen(Value):
    """The customer clicked a quick reply; `choice` is its id. No model is asked."""

    kind: Literal["chosen"] = "chosen"
    choice: Annotated[str, Field(max_length=MAX_ID)]


class UnderstandingUnavailable(Value):
    """The customer wrote something and there is no model to ask what it means."""

    kind: Literal["understanding_unavailable"] = "understanding_unavailable"
    text: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class LookedUp(Value):
    """Business answered the look-up that the last decision asked for."""

    kind: Literal["looked_up"] = "looked_up"
    name: str
    found: bool
    data: dict[str, Any] = Field(default_factory=dict)


class LookupFailed(Value):
    """Business could not be asked."""

    kind: Literal["lookup_failed"] = "lookup_failed"
    name: str
    reason: str = ""


class Origin(Value):
    """Where in which flow an action was decided, its index, and the values that its follow-up replies need."""

    flow: str
    step: str
    index: int | None = None
    variables: dict[str, JsonValue] = Field(default_factory=dict)


class ActionFinished(Value):
    """Business reports what became of an action, as an interim or as the final result."""

    kind: Literal["action_finished"] = "action_finished"
    result: ActionResult
    origin: Origin


class SessionExpired(Value):
    """Nothing has happened for so long that the customer is not in the middle of anything any more."""

    kind: Literal["session_expired"] = "session_expired"


TurnEvent = Annotated[
    Opened | Understood | Chosen | UnderstandingUnavailable | LookedUp | LookupFailed | ActionFinished | SessionExpired,
    Field(discriminator="kind"),
]


class LookupCall(Value):
    """A question to business without effects; the turn goes on when it is answered."""

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class ActionCall(Value):
    """An effect to be performed once; `index` is its place among all actions of the conversation."""

    index: int
    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    origin: Origin


class HandoffCall(Value):
    """A person is asked to take over; what was going on goes with it."""

    reason: str
    flow: str | None = None
    slots: dict[str, str | None] = Field(default_factory=dict)


class Decision(Value):
    """What a turn does next. With a `lookup`, the turn is not over: its answer is the next event of the same turn."""

    state: State
    replies: tuple[Say, ...] = ()
    lookup: LookupCall | None = None
    actions: tuple[ActionCall, ...] = ()
    handoff: HandoffCall | None = None
    steps: tuple[str, ...] = ()
