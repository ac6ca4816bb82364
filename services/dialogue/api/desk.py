"""The desk over HTTP: what waits for a person, who has it, and a person's replies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from services.dialogue.api.conversations import MAX_SEQ, ConversationId, InDatabase, InDesk, MessageText
from services.dialogue.conversation.models import Handoff, OutboxRow
from services.dialogue.conversation.repository import find_conversation
from services.dialogue.desk.ownership import DESK, SUPERVISORS, Said
from services.dialogue.desk.repository import (
    HandoffRow,
    actions_of,
    count_open,
    events_after,
    last_understanding,
    open_handoffs,
)
from shared.contracts.base import RequestBody
from shared.contracts.events import Event
from shared.errors import responses
from shared.http.auth import CurrentPrincipal, Principal, require
from shared.storage.database import Database, now

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["desk"], dependencies=[Depends(require(roles=DESK))])

MAX_NOTE = 500

HandoffId = Annotated[int, Path(ge=1, le=MAX_SEQ)]
After = Annotated[int, Query(ge=0, le=MAX_SEQ)]
Limit = Annotated[int, Query(ge=1, le=200)]
Note = Annotated[MessageText, StringConstraints(max_length=MAX_NOTE)]


class HandoffSummary(BaseModel):
    """A conversation that was handed to a person, as every agent sees it in the queue."""

    id: int
    conversation_id: str
    reason: str
    status: Annotated[str, Field(examples=["waiting", "claimed", "closed"])]
    """`waiting`, `claimed` or `closed`; one that only a later release knows is passed on."""
    agent: str | None
    flow: str | None
    assistant: str
    language: str
    note: str | None
    created_at: datetime
    claimed_at: datetime | None
    closed_at: datetime | None
    waiting_seconds: int
    """How long the customer has waited, or did wait until they were claimed."""


class HandoffQueue(BaseModel):
    """A page of what waits or is in work, the oldest first; `next_after` is null on the last one."""

    handoffs: Sequence[HandoffSummary]
    next_after: int | None
    waiting: int
    claimed: int


class AskedAction(BaseModel):
    """Something that business was asked to do in the conversation, and for whom."""

    id: str
    name: str
    customer: str | None
    arguments: dict[str, Any]
    status: str | None
    """Null while business has said nothing of it."""
    created_at: datetime


class HandoffDetails(HandoffSummary):
    """All that the agent who has the conversation has to know of it."""

    customer: str | None
    slots: dict[str, str | None]
    understanding: dict[str, Any] | None
    actions: Sequence[AskedAction]


class NewHolder(RequestBody):
    """The agent who is to go on, by the id of their account."""

    agent: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]


class Closing(RequestBody):
    """What was agreed, which the customer reads, and the last `seq` that was read."""

    note: Note | None = None
    read_to: Annotated[int, Field(ge=0, le=MAX_SEQ)] | None = None


class AgentReply(RequestBody):
    """What the agent says to the customer; `close` gives the conversation back to the assistant."""

    text: MessageText
    close: bool = False


class Replied(BaseModel):
    """What was said, as it stands in the transcript."""

    events: Sequence[Event]


class DeskEventView(BaseModel):
    """A line of the audit log."""

    id: int
    event: str
    actor: str
    conversation_id: str | None
    handoff_id: int | None
    """Null of what was decided about an action."""
    details: dict[str, Any]
    created_at: datetime


class DeskEvents(BaseModel):
    """A page of the audit log, the oldest first; `next_after` is null on the last one."""

    events: Sequence[DeskEventView]
    next_after: int | None


def _summary(handoff: Handoff | HandoffRow, language: str, assistant: str) -> dict[str, Any]:
    columns = {name: getattr(handoff, name) for name in HandoffRow.__slots__}
    until = handoff.claimed_at or handoff.closed_at or now()
    waited = int((until - handoff.created_at).total_seconds())
    return columns | {"language": language, "assistant": assistant, "waiting_seconds": waited}


def _asked(row: OutboxRow) -> AskedAction:
    request = {name: row.request.get(name) for name in ("name", "customer", "arguments")}
    return AskedAction.model_validate(
        {**request, "id": row.action_id, "status": row.status, "created_at": row.created_at}
    )


async def _summarised(database: Database, principal: Principal, handoff: HandoffRow) -> HandoffSummary:
    conversation = await database.read(principal.tenant, lambda unit: find_conversation(unit, handoff.conversation_id))
    return HandoffSummary.model_validate(_summary(handoff, conversation.language, conversation.assistant))


async def _detailed(database: Database, principal: Principal, handoff: HandoffRow) -> HandoffDetails:
    conversation = await database.read(principal.tenant, lambda unit: find_conversation(unit, handoff.conversation_id))
    async with database.reading(principal.tenant) as session:
        understanding = await last_understanding(session, handoff.conversation_id)
        actions = await actions_of(session, handoff.conversation_id)
        return HandoffDetails.model_validate(
            {
                **_summary(handoff, conversation.language, conversation.assistant),
                "customer": conversation.customer,
                "slots": handoff.slots or {},
                "understanding": understanding,
                "actions": [_asked(each) for each in actions],
            }
        )


@router.get("/handoffs")
async def handoffs(
    principal: CurrentPrincipal,
    database: InDatabase,
    after: After = 0,
    limit: Limit = 50,
    status: Annotated[Literal["waiting", "claimed"] | SkipJsonSchema[None], Query()] = None,
    mine: bool = False,
) -> HandoffQueue:
    """What waits or is in work, the oldest first; `mine` are those that the caller has. Go on with `next_after`."""
    agent = principal.subject if mine else None
    async with database.reading(principal.tenant) as session:
        found = await open_handoffs(session, after=after, limit=limit + 1, status=status, agent=agent)
        counts = await count_open(session)
    page = [HandoffSummary.model_validate(_summary(handoff, *about)) for handoff, *about in found[:limit]]
    return HandoffQueue(
        handoffs=page,
        next_after=page[-1].id if len(found) > limit else None,
        waiting=counts.get("waiting", 0),
        claimed=counts.get("claimed", 0),
    )


@router.get("/handoffs/{handoff_id}", responses=responses(404))
async def handoff_details(
    handoff_id: HandoffId, principal: CurrentPrincipal, database: InDatabase, desk: InDesk
) -> HandoffDetails:
    """All about a hand-off that the caller has; any other is not found."""
    return await _detailed(database, principal, await desk.look_into(principal, handoff_id))


@router.post("/handoffs/{handoff_id}/claim", responses=responses(404, 409))
async def claim(
    handoff_id: HandoffId, principal: CurrentPrincipal, database: InDatabase, desk: InDesk
) -> HandoffDetails:
    """Takes a conversation from the queue. Another agent who has it is named in the 409."""
    return await _detailed(database, principal, await desk.claim(principal, handoff_id))


@router.post("/handoffs/{handoff_id}/release", responses=responses(404, 409))
async def release(
    handoff_id: HandoffId, principal: CurrentPrincipal, database: InDatabase, desk: InDesk
) -> HandoffSummary:
    """Puts a conversation back into the queue, at its old place."""
    return await _summarised(database, principal, await desk.release(principal, handoff_id))


@router.post("/handoffs/{handoff_id}/hand-on", responses=responses(404, 409))
async def hand_on(
    handoff_id: HandoffId, body: NewHolder, principal: CurrentPrincipal, database: InDatabase, desk: InDesk
) -> HandoffSummary:
    """Gives a conversation to another agent."""
    return await _summarised(database, principal, await desk.hand_on(principal, handoff_id, to=body.agent))


@router.post(
    "/handoffs/{handoff_id}/take-over",
    responses=responses(404, 409),
    dependencies=[Depends(require(roles=SUPERVISORS))],
)
async def take_over(
    handoff_id: HandoffId, principal: CurrentPrincipal, database: InDatabase, desk: InDesk
) -> HandoffDetails:
    """Takes a conversation from whoever has it (for supervisors)."""
    return await _detailed(database, principal, await desk.take_over(principal, handoff_id))


@router.post("/handoffs/{handoff_id}/close", responses=responses(404, 409))
async def close(
    handoff_id: HandoffId,
    principal: CurrentPrincipal,
    database: InDatabase,
    desk: InDesk,
    body: Closing | None = None,
) -> HandoffSummary:
    """Gives a conversation back to the assistant; `note` says what was agreed and is the closing line.

    With `read_to` it is refused where the transcript goes on behind it, so that nothing is closed unread.
    """
    closing = body or Closing()
    said = await desk.close(principal, handoff_id, note=closing.note, read_to=closing.read_to)
    return await _summarised(database, principal, said.handoff)


@router.post("/conversations/{conversation_id}/replies", status_code=201, responses=responses(404, 409))
async def reply(
    conversation_id: ConversationId, body: AgentReply, principal: CurrentPrincipal, desk: InDesk
) -> Replied:
    """Says something to the customer as the agent who has the conversation."""
    said: Said = await desk.reply(principal, conversation_id, body.text, close=body.close)
    return Replied(events=said.events)


@router.get("/desk/events", dependencies=[Depends(require(roles=("admin",)))])
async def desk_events(
    principal: CurrentPrincipal, database: InDatabase, after: After = 0, limit: Limit = 50
) -> DeskEvents:
    """Who read, claimed, took over, answered, closed, approved, retried and dismissed what (for administrators)."""
    async with database.reading(principal.tenant) as session:
        found = await events_after(session, after, limit + 1)
    page = [DeskEventView.model_validate(each, from_attributes=True) for each in found[:limit]]
    return DeskEvents(events=page, next_after=page[-1].id if len(found) > limit else None)
