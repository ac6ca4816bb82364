"""What a decision becomes in the store: replies, actions, a hand-off, and the trace of how it came about."""

from typing import Any

from structlog.contextvars import get_contextvars

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.values import Say
from services.dialogue.conversation.repository import ConversationRow, Draft, EntryRow, HandoffDraft, TraceRow
from services.dialogue.policy.decision import (
    ActionCall,
    ActionFinished,
    HandoffCall,
    SessionExpired,
    TurnEvent,
    Understood,
)
from services.dialogue.policy.state import State
from shared.contracts.actions import ActionRequest
from shared.storage.database import now

__all__ = [
    "customer_of",
    "draft_of",
    "elsewhere",
    "fresh",
    "handoff_of",
    "notice_of",
    "request_of",
    "state_of",
    "trace_of",
]

QUESTION_MARKS = ("?", "？")
KEPT = ("format", "language", "turn", "actions")
"""What of a state is about the conversation itself. `actions` must be kept: the ids of actions are made of it."""


def state_of(conversation: ConversationRow) -> State:
    """The state that the last turn left, or the first one."""
    if conversation.state is None:
        return State(language=conversation.language)
    return State.model_validate(conversation.state)


def fresh(state: Any) -> Any:
    """The state without anything that was under way, asked, named or looked up; what is unreadable stays so."""
    return {name: state[name] for name in KEPT if name in state} if isinstance(state, dict) else state


ELSEWHERE = {
    "zh": "您已经在另一个会话里联系人工客服了，请回到那个会话继续；那边结束后，可以在这里再转人工。",
    "en": "You have already asked for a person in another conversation; please go on there. Once that is finished, "
    "you can ask for one here.",
}


def customer_of(conversation: ConversationRow, message: EntryRow | None) -> str | None:
    """Whom a turn is about: the customer for whom the message was sent, or else the one it was about before."""
    if message is None or message.customer is None:
        return conversation.customer
    return message.customer or None


def draft_of(assistant: Assistant, say: Say) -> Draft:
    """A reply as the customer will read it."""
    rendered = assistant.replies.render(say)
    data: dict[str, Any] = {"reply": say.name}
    if rendered.source is not None:
        data["source"] = rendered.source
    return Draft(text=rendered.text, options=rendered.options, data=data)


def notice_of(assistant: Assistant, say: Say, event: ActionFinished) -> Draft:
    """What became of an action as a plain statement, for while a person has the floor: nothing is asked or offered."""
    draft = draft_of(assistant, say)
    if draft.options or draft.text.rstrip().endswith(QUESTION_MARKS):
        flow = assistant.flows.get(event.origin.flow)
        title = None if flow is None or flow.title is None else dict(flow.title)
        name = "action_succeeded" if event.result.status == "succeeded" else "action_not_done"
        draft = draft_of(
            assistant, Say(name=name, language=say.language, variables={"flow": title or event.result.name})
        )
    return Draft(text=draft.text, data=draft.data, kind="notice", sender="system")


def handoff_of(call: HandoffCall, owner: str) -> HandoffDraft:
    """What an agent has to know of how a person came to be needed."""
    return HandoffDraft(reason=call.reason, flow=call.flow, slots=dict(call.slots), owner=owner)


def elsewhere(language: str) -> Draft:
    """That a person has been asked for in another conversation; of one customer, people have one at a time."""
    return Draft(text=ELSEWHERE.get(language, ELSEWHERE["en"]), data={"reply": "handoff_elsewhere"})


def request_of(
    conversation: ConversationRow, action: ActionCall, customer: str | None, *, release: str, language: str
) -> ActionRequest:
    """An action as business will perform it."""
    # The id is derived, so that a turn that is decided again asks for the same action and not for another one.
    return ActionRequest(
        id=f"{conversation.id}.{action.index}",
        tenant=conversation.tenant,
        name=action.name,
        customer=customer,
        conversation_id=conversation.id,
        arguments=dict(action.arguments),
        requested_at=now(),
        assistant=conversation.assistant,
        release=release,
        language=language,
        request_id=get_contextvars().get("request_id"),
    )


def trace_of(
    conversation: ConversationRow,
    event: TurnEvent,
    answers: EntryRow | None,
    steps: list[str],
    stages: dict[str, float],
    release: str,
) -> TraceRow:
    """Why the turn went as it did, without the customer's words."""
    understanding = None
    if isinstance(event, Understood):
        # The text stands in the transcript once; a trace names it by its place.
        understanding = event.understanding.model_dump(mode="json", exclude={"text"})
    trigger = f"message:{answers.seq}" if answers else event.kind
    if isinstance(event, ActionFinished):
        trigger = f"result:{event.result.action_id}:{event.result.version}"
    if isinstance(event, SessionExpired):
        trigger = f"{event.kind}:{conversation.version}"
    return TraceRow(
        conversation_id=conversation.id,
        trigger=trigger,
        understanding=understanding,
        steps=steps,
        seconds=stages,
        release=release,
        created_at=now(),
    )
