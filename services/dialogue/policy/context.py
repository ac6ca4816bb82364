"""The working state of one decision: the conversation's next state, and what has been decided so far."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.schema import Flow, Slot
from services.dialogue.assistant.templates import looked_up
from services.dialogue.assistant.validation import CONTROL
from services.dialogue.assistant.values import MAX_OPTIONS, QuickReply, Say
from services.dialogue.policy.answers import Answer
from services.dialogue.policy.decision import ActionCall, Decision, HandoffCall, LookupCall
from services.dialogue.policy.state import (
    MAX_FRAMES,
    MAX_SUBMITTED,
    Finished,
    Frame,
    Mention,
    Pending,
    State,
    Submitted,
)

__all__ = ["TurnContext"]

MAX_MENTIONS = 8
SUBMITTED_REPLIES = {
    "pending": "submitted_pending",
    "awaiting_approval": "submitted_waiting",
    "succeeded": "submitted_done",
}
"""The reply about an action that was submitted, by what became of it."""


class TurnContext:
    """Lives for one call of `decide`; begins as a copy of the state and ends as a decision."""

    def __init__(self, assistant: Assistant, state: State) -> None:
        self.assistant = assistant
        self.language = state.language if state.language in assistant.languages else None
        self.turn = state.turn
        self.frames = [frame for frame in state.frames if frame.flow in assistant.flows][-MAX_FRAMES:]
        self.gone = [frame for frame in state.frames if frame.flow not in assistant.flows]
        self.asks_gone = bool(state.frames) and state.frames[-1] in self.gone
        """Whether the flow that asked the last question is not there any more."""
        self.pending: Pending | None = None if self.asks_gone else state.pending
        # Another release may have offered what this one does not know.
        self.options = tuple(option for option in state.options if self.is_known(option.intent))[:MAX_OPTIONS]
        self.misses = state.misses
        self.action_count = state.actions
        self.mentions: dict[str, Mention] = dict(state.mentions)
        self.finished: Finished | None = state.finished
        self.submitted = state.submitted
        self.lapsed = state.lapsed
        self.replies: list[Say] = []
        self.lookup: LookupCall | None = None
        self.actions: list[ActionCall] = []
        self.handoff: HandoffCall | None = None
        self.steps: list[str] = []
        self.retrying = False
        self.abandoned: Frame | None = None
        self.gave_up = False
        self.answers: dict[tuple[str, int, tuple[str, ...]], Answer] = {}
        self.mood = "neutral"

    def decision(self) -> Decision:
        """What was decided."""
        state = State(
            language=self.language,
            turn=self.turn,
            frames=tuple(self.frames),
            pending=self.pending,
            options=self.options,
            misses=self.misses,
            actions=self.action_count,
            mentions=self.mentions,
            finished=self.finished,
            submitted=self.submitted[-MAX_SUBMITTED:],
            lapsed=self.lapsed,
        )
        return Decision(
            state=state,
            replies=tuple(self.replies),
            lookup=self.lookup,
            actions=tuple(self.actions),
            handoff=self.handoff,
            steps=tuple(self.steps),
        )

    def is_known(self, intent: str | None) -> bool:
        """Whether what a quick reply stands for is there."""
        return intent is None or intent in CONTROL or self.assistant.answers(intent)

    # Replies

    def note(self, step: str) -> None:
        """Add a line to the trace."""
        self.steps.append(step)

    def say(
        self,
        name: str,
        values: Mapping[str, JsonValue] | None = None,
        *,
        options: Sequence[QuickReply] = (),
        source: str | None = None,
        offering: bool = True,
    ) -> None:
        """Add a reply, filled from `values`; unless `offering`, the quick replies on offer stay as they are."""
        values = values or {}
        offered = (*options, *self.assistant.replies.options(name))[:MAX_OPTIONS]
        if offering and offered:
            self.options = offered
        self.replies.append(
            Say(
                name=name,
                language=self.language or self.assistant.default_language,
                variant=self.turn,
                variables={key: looked_up(values, key) for key in sorted(self.assistant.replies.names(name))},
                options=offered,
                source=source,
            )
        )

    # Frames

    @property
    def frame(self) -> Frame:
        """The frame of the current flow."""
        return self.frames[-1]

    @property
    def flow(self) -> Flow:
        """The current flow's definition."""
        return self.assistant.flows[self.frame.flow]

    @property
    def slots(self) -> Mapping[str, Slot]:
        """The current flow's slots, with those of flows that it calls."""
        return self.assistant.slots[self.frame.flow]

    def update(self, **changes: Any) -> None:
        """Change the current frame."""
        self.frames[-1] = self.frame.model_copy(update=changes)

    def push(self, frame: Frame) -> None:
        """Start a flow on top of the current one; the oldest is dropped beyond `MAX_FRAMES`."""
        self.note(f"{frame.flow}: begins")
        begun = frame.model_copy(update={"plan": self.assistant.plans[frame.flow]})
        self.frames = [*self.frames, begun][-MAX_FRAMES:]
        self.pending = None
        self.finished = None

    def pop(self, how: str) -> None:
        """End the current flow."""
        frame = self.frames.pop()
        self.note(f"{frame.flow}: {how}")
        self.pending = None
        if frame.slots:
            self.finished = Finished(flow=frame.flow, slots=frame.slots, committed=frame.committed, turn=self.turn)

    def mention(self, entity: str | None, value: str | None) -> None:
        """Remember a value that was named, for a later message that refers back to it."""
        if entity is not None and value is not None:
            others = {name: mention for name, mention in self.mentions.items() if name != entity}
            kept = dict(list(others.items())[1 - MAX_MENTIONS :])
            self.mentions = {**kept, entity: Mention(value=value, turn=self.turn)}

    def title(self, flow: str) -> JsonValue:
        """What a flow is called, in each language."""
        known = self.assistant.flows.get(flow)
        return dict(known.title or {}) if known is not None else {}

    # What was submitted

    def last_submitted(self, flow: str | None = None) -> Submitted | None:
        """The last action of this conversation that was done or still may be, of a flow or of any."""
        standing = (each for each in reversed(self.submitted) if each.stands and flow in (None, each.flow))
        return next(standing, None)

    def last_open(self) -> Submitted | None:
        """The last action whose result is still to come."""
        return next((each for each in reversed(self.submitted) if each.is_open), None)

    def say_submitted(self, submitted: Submitted) -> None:
        """Say how far an action has come."""
        self.say(SUBMITTED_REPLIES[submitted.status], {"flow": self.title(submitted.flow), "about": submitted.about})

    def offer_person(self, name: str = "offer_person", slot: str = "") -> None:
        """Ask whether a person should take over; an answer to the `slot`'s question is still taken."""
        self.say(name)
        self.pending = Pending(kind="person", name=slot)
