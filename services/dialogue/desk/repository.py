"""What the desk reads and writes in SQL; callers commit. A turn itself hands over, in the conversation's repository."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import Conversation, DeskEvent, Handoff, OutboxRow, Trace
from services.dialogue.conversation.repository import status_of
from shared.errors import NotFound
from shared.storage.database import now
from shared.storage.statements import Statement, Unit, insert_into, table_of

__all__ = [
    "CLAIMED",
    "WAITING",
    "HandoffRow",
    "actions_of",
    "add_event",
    "close_handoff",
    "count_open",
    "events_after",
    "find_handoff",
    "handed_over",
    "last_understanding",
    "open_handoff",
    "open_handoffs",
    "pass_floor",
    "set_handoff",
    "traces_of",
    "waiting",
    "was_noted",
]

WAITING, CLAIMED, CLOSED = "waiting", "claimed", "closed"

CONVERSATIONS, HANDOFFS, EVENTS = table_of(Conversation), table_of(Handoff), table_of(DeskEvent)


@dataclass(frozen=True, slots=True)
class HandoffRow:
    """A hand-off as it was read; the names are the table's columns."""

    id: int
    conversation_id: str
    reason: str
    status: str
    agent: str | None
    flow: str | None
    slots: dict[str, Any] | None
    note: str | None
    created_at: datetime
    claimed_at: datetime | None
    closed_at: datetime | None


_columns = [HANDOFFS.c[each.name] for each in fields(HandoffRow)]
_of_conversation = HANDOFFS.c.conversation_id == bindparam("conversation")

FIND_HANDOFF = Statement(select(*_columns).where(HANDOFFS.c.id == bindparam("handoff")))
OPEN_HANDOFF = Statement(select(*_columns).where(_of_conversation, HANDOFFS.c.status != CLOSED))
HANDED_OVER = Statement(select(HANDOFFS.c.id).where(_of_conversation).limit(1))
PASS_FLOOR = Statement(
    update(CONVERSATIONS)
    .where(CONVERSATIONS.c.id == bindparam("conversation"), CONVERSATIONS.c.floor == bindparam("seen_floor"))
    .values(
        floor=bindparam("new_floor"),
        status=bindparam("new_status"),
        version=CONVERSATIONS.c.version + 1,
        updated_at=bindparam("moment", type_=CONVERSATIONS.c.updated_at.type),
    )
    .returning(CONVERSATIONS.c.id)
)
SET_HANDOFF = Statement(
    update(HANDOFFS)
    .where(HANDOFFS.c.id == bindparam("handoff"), HANDOFFS.c.status != CLOSED)
    .values(
        status=bindparam("new_status"),
        agent=bindparam("by"),
        claimed_at=bindparam("moment", type_=HANDOFFS.c.claimed_at.type),
    )
    .returning(*_columns)
)
CLOSE_HANDOFF = Statement(
    update(HANDOFFS)
    .where(HANDOFFS.c.id == bindparam("handoff"), HANDOFFS.c.status != CLOSED)
    .values(
        status=CLOSED,
        note=bindparam("agreed"),
        closed_at=bindparam("moment", type_=HANDOFFS.c.closed_at.type),
    )
    .returning(*_columns)
)
WAS_NOTED = Statement(
    select(EVENTS.c.id)
    .where(
        EVENTS.c.conversation_id == bindparam("conversation"),
        EVENTS.c.handoff_id == bindparam("handoff"),
        EVENTS.c.actor == bindparam("by"),
        EVENTS.c.event == bindparam("name"),
    )
    .limit(1)
)
ADD_EVENT = insert_into(DeskEvent, "event", "actor", "conversation_id", "handoff_id", "details", "created_at")


def find_handoff(unit: Unit, handoff_id: int) -> HandoffRow:
    """A hand-off by its id.

    Raises:
        NotFound: there is none.
    """
    found = unit.row(FIND_HANDOFF, handoff=handoff_id)
    if found is None:
        raise NotFound("there is no such hand-off")
    return HandoffRow(*found)


def open_handoff(unit: Unit, conversation_id: str) -> HandoffRow | None:
    """The conversation's hand-off that waits or is in work; there is one at most."""
    found = unit.row(OPEN_HANDOFF, conversation=conversation_id)
    return None if found is None else HandoffRow(*found)


def handed_over(unit: Unit, conversation_id: str) -> bool:
    """Whether the conversation was ever handed to the desk."""
    return unit.row(HANDED_OVER, conversation=conversation_id) is not None


def pass_floor(unit: Unit, conversation_id: str, *, seen: str, to: str) -> bool:
    """Gives the floor to another, if `seen` still has it: of many who try at once, one succeeds."""
    moved = unit.row(
        PASS_FLOOR,
        conversation=conversation_id,
        seen_floor=seen,
        new_floor=to,
        new_status=status_of(to),
        moment=now(),
    )
    return moved is not None


def set_handoff(unit: Unit, handoff_id: int, *, agent: str | None) -> HandoffRow | None:
    """Writes down who works on a hand-off, nobody meaning that it waits; None if it was closed meanwhile."""
    found = unit.row(
        SET_HANDOFF,
        handoff=handoff_id,
        new_status=WAITING if agent is None else CLAIMED,
        by=agent,
        moment=None if agent is None else now(),
    )
    return None if found is None else HandoffRow(*found)


def close_handoff(unit: Unit, handoff_id: int, *, note: str | None) -> HandoffRow | None:
    """Ends a hand-off with what was agreed; None if it was closed meanwhile."""
    found = unit.row(CLOSE_HANDOFF, handoff=handoff_id, agreed=note, moment=now())
    return None if found is None else HandoffRow(*found)


def was_noted(unit: Unit, event: str, *, actor: str, handoff: HandoffRow) -> bool:
    """Whether the audit log has this event of this person and hand-off."""
    values = {"conversation": handoff.conversation_id, "handoff": handoff.id, "by": actor, "name": event}
    return unit.row(WAS_NOTED, **values) is not None


def add_event(
    unit: Unit,
    event: str,
    *,
    actor: str,
    handoff: HandoffRow | None = None,
    conversation: str | None = None,
    details: Mapping[str, Any],
) -> None:
    """Adds a line to the audit log: about a hand-off, or about an action of business, perhaps of a conversation."""
    unit.run(
        ADD_EVENT,
        event=event,
        actor=actor,
        conversation_id=conversation if handoff is None else handoff.conversation_id,
        handoff_id=None if handoff is None else handoff.id,
        details=dict(details),
        created_at=now(),
    )


async def open_handoffs(
    session: AsyncSession, *, after: int, limit: int, status: str | None = None, agent: str | None = None
) -> Sequence[Row[Handoff, str, str]]:
    """Hand-offs that wait or are in work, with their conversation's language and assistant, the oldest first, behind
    the id `after`; those of one status or agent alone where that is given."""
    query: Select[Handoff, str, str] = (
        select(Handoff, Conversation.language, Conversation.assistant)
        .join(Conversation, Conversation.id == Handoff.conversation_id)
        .where(Handoff.id > after, Handoff.status != CLOSED)
        .order_by(Handoff.id)
        .limit(limit)
    )
    if status is not None:
        query = query.where(Handoff.status == status)
    if agent is not None:
        query = query.where(Handoff.agent == agent)
    return (await session.execute(query)).all()


async def count_open(session: AsyncSession) -> dict[str, int]:
    """How many hand-offs wait and how many are in work."""
    query = select(Handoff.status, func.count()).where(Handoff.status != CLOSED).group_by(Handoff.status)
    return {row[0]: row[1] for row in await session.execute(query)}


async def waiting(session: AsyncSession) -> tuple[int, datetime | None]:
    """How many conversations wait for a person, and since when the first of them does."""
    query = select(func.count(), func.min(Handoff.created_at)).where(Handoff.status == WAITING)
    count, oldest = (await session.execute(query)).one()
    return count, oldest


async def actions_of(session: AsyncSession, conversation_id: str) -> Sequence[OutboxRow]:
    """Everything that was asked of business in a conversation, in order."""
    query = select(OutboxRow).where(OutboxRow.conversation_id == conversation_id)
    return (await session.scalars(query.order_by(OutboxRow.created_at, OutboxRow.action_id))).all()


async def last_understanding(session: AsyncSession, conversation_id: str) -> dict[str, Any] | None:
    """What was last understood in a conversation."""
    query = select(Trace.understanding).where(
        Trace.conversation_id == conversation_id, Trace.understanding.is_not(None)
    )
    return await session.scalar(query.order_by(Trace.id.desc()).limit(1))


async def traces_of(session: AsyncSession, conversation_id: str, limit: int) -> Sequence[Trace]:
    """The traces of a conversation's turns, in order."""
    query = select(Trace).where(Trace.conversation_id == conversation_id).order_by(Trace.id)
    return (await session.scalars(query.limit(limit))).all()


async def events_after(session: AsyncSession, after: int, limit: int) -> Sequence[DeskEvent]:
    """The audit log behind the id `after`, in order."""
    query = select(DeskEvent).where(DeskEvent.id > after).order_by(DeskEvent.id)
    return (await session.scalars(query.limit(limit))).all()
