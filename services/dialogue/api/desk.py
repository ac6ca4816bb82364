"""The desk over HTTP: what waits for a person, and a person's replies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from services.dialogue.api.conversations import (
    DESK,
    Body,
    ConversationId,
    InDatabase,
    InWakes,
    MessageText,
    readable,
)
from services.dialogue.conversation import repository
from services.dialogue.conversation.repository import Draft, StaleTurn
from services.dialogue.desk.repository import assign_handoffs, open_handoffs
from shared.contracts.events import Event
from shared.errors import Conflict, responses
from shared.http.auth import CurrentPrincipal, require

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["desk"], dependencies=[Depends(require(roles=DESK))])

MAX_STALE = 20


class HandoffView(BaseModel):
    """A conversation that was handed to a person."""

    id: int
    conversation_id: str
    reason: str
    status: str
    agent: str | None
    created_at: datetime


class AgentReply(Body):
    """What the agent says to the customer; `close` gives the conversation back to the assistant."""

    text: MessageText
    close: bool = False


class Replied(BaseModel):
    """What was said, as it stands in the transcript."""

    events: Sequence[Event]


@router.get("/handoffs")
async def handoffs(
    principal: CurrentPrincipal,
    database: InDatabase,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[HandoffView]:
    """What waits or is in work, the oldest first."""
    async with database.reading(principal.tenant) as session:
        rows = await open_handoffs(session, limit)
        return [HandoffView.model_validate(row, from_attributes=True) for row in rows]


@router.post("/conversations/{conversation_id}/replies", status_code=201, responses=responses(404, 409))
async def reply(
    conversation_id: ConversationId,
    body: AgentReply,
    principal: CurrentPrincipal,
    database: InDatabase,
    wakes: InWakes,
) -> Replied:
    """Says something to the customer as a person."""
    for _ in range(MAX_STALE):
        conversation = await readable(database, principal, conversation_id)
        try:
            async with database.transaction(principal.tenant) as session:
                appended = await repository.append_replies(
                    session,
                    conversation,
                    drafts=[Draft(text=body.text, sender="agent")],
                    state=conversation.state,
                    language=conversation.language,
                    answers=None,
                    status="open" if body.close else "with_agent",
                )
                await assign_handoffs(
                    session, conversation_id, agent=principal.subject, status="closed" if body.close else "claimed"
                )
        except StaleTurn:
            continue
        await wakes.wake(conversation_id)
        return Replied(events=[entry.event() for entry in appended.entries])
    raise Conflict("the conversation is too busy just now; try again")
