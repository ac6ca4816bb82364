"""What a decision becomes in the store: replies, actions and the trace of how it came about."""

from typing import Any

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.values import Say
from services.dialogue.conversation.repository import ConversationRow, Draft, EntryRow, TraceRow
from services.dialogue.policy.decision import ActionCall, ActionFinished, SessionExpired, TurnEvent, Understood
from services.dialogue.policy.state import State
from shared.contracts.actions import ActionRequest
from shared.storage.database import now

__all__ = ["draft_of", "request_of", "state_of", "trace_of"]


def state_of(conversation: ConversationRow) -> State:
    """The state that the last turn left, or the first one."""
    if conversation.state is None:
        return State(language=conversation.language)
    return State.model_validate(conversation.state)


def draft_of(assistant: Assistant, say: Say) -> Draft:
    """A reply as the customer will read it."""
    rendered = assistant.replies.render(say)
    data: dict[str, Any] = {"reply": say.name}
    if rendered.source is not None:
        data["source"] = rendered.source
    return Draft(text=rendered.text, options=rendered.options, data=data)


def request_of(conversation: ConversationRow, action: ActionCall) -> ActionRequest:
    """An action as business will perform it."""
    # The id is derived, so that a turn that is decided again asks for the same action and not for another one.
    return ActionRequest(
        id=f"{conversation.id}.{action.index}",
        tenant=conversation.tenant,
        name=action.name,
        customer=conversation.customer,
        conversation_id=conversation.id,
        arguments=dict(action.arguments),
        requested_at=now(),
    )


def trace_of(
    conversation: ConversationRow,
    event: TurnEvent,
    answers: EntryRow | None,
    steps: list[str],
    stages: dict[str, float],
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
        created_at=now(),
    )
