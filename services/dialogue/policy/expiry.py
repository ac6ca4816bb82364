"""When nothing has happened for long: what was under way is dropped, so that a late yes confirms nothing."""

from services.dialogue.policy.confirmation import CONFIRM
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.state import State

__all__ = ["cleared", "is_under_way", "session_expired", "tell_of_expiry"]


def is_under_way(state: State) -> bool:
    """Whether the conversation is in the middle of something: a flow, or a question."""
    return bool(state.frames) or state.pending is not None


def cleared(state: State) -> State:
    """The state with nothing under way; what was submitted and named stays known."""
    return state.model_copy(update={"frames": (), "pending": None, "options": (), "finished": None, "misses": 0})


def session_expired(context: TurnContext) -> None:
    """Drop flows, questions and offers; what the customer has named is still known.

    Where they were asked whether to do something, they are told when they come back that it was not done. That is only
    said of a flow that has submitted nothing.
    """
    context.note("expires")
    if context.frames and context.pending is not None and not context.frame.committed:
        asked = context.pending.kind in ("confirm", "change") or CONFIRM in context.frame.attempts
        context.lapsed = context.frame.flow if asked else None
    context.frames = []
    context.pending = None
    context.options = ()
    context.finished = None
    context.misses = 0


def tell_of_expiry(context: TurnContext) -> None:
    """Say once, before anything else, that what was to be confirmed was dropped and not submitted."""
    flow, context.lapsed = context.lapsed, None
    if flow is not None and flow in context.assistant.flows:
        context.say("session_expired", {"flow": context.title(flow)}, offering=False)
