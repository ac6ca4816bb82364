"""The desk over HTTP: what waits for a person, and a person's replies."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from services.dialogue.api.conversations import (
    DESK,
    ConversationId,
    InDatabase,
    InWakes,
    MessageText,
    readable,
)
from services.dialogue.conversation import repository
from services.dialogue.conversation.repository import Appended, ConversationRow, Draft, StaleTurn
from services.dialogue.desk.repository import open_handoffs, work_on_handoffs
from shared.contracts.base import RequestBody
from shared.contracts.events import Event
from shared.errors import Conflict, responses
from shared.http.auth import CurrentPrincipal, require
from shared.storage.statements import Unit

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


class AgentReply(RequestBody):
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
            appended = await database.write(
                principal.tenant, partial(_write_reply, conversation, body, principal.subject)
            )
        except StaleTurn:
            continue
        await wakes.wake(conversation_id)
        return Replied(events=[entry.event() for entry in appended.entries])
    raise Conflict("the conversation is too busy just now; try again")


def _write_reply(conversation: ConversationRow, reply: AgentReply, agent: str, unit: Unit) -> Appended:
    appended = repository.append_replies(
        unit,
        conversation,
        drafts=[Draft(text=reply.text, sender="agent")],
        state=conversation.state,
        language=conversation.language,
        answers=None,
        status="open" if reply.close else "with_agent",
    )
    work_on_handoffs(unit, conversation.id, status="closed" if reply.close else "claimed", agent=agent)
    return appended
