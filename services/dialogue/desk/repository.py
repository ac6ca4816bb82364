"""What the desk reads and writes in SQL; callers commit. A turn itself hands over, in the conversation's repository."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import Handoff, Trace
from shared.storage.statements import Statement, Unit, table_of

__all__ = ["open_handoffs", "traces_of", "work_on_handoffs"]

HANDOFFS = table_of(Handoff)
WORK_ON_HANDOFFS = Statement(
    update(HANDOFFS)
    .where(HANDOFFS.c.conversation_id == bindparam("conversation"), HANDOFFS.c.status != "closed")
    .values(status=bindparam("new_status"), agent=bindparam("by"))
)


def work_on_handoffs(unit: Unit, conversation_id: str, *, status: str, agent: str) -> None:
    """Sets who works on the conversation's hand-offs that are not closed, and their status."""
    unit.run(WORK_ON_HANDOFFS, conversation=conversation_id, new_status=status, by=agent)


async def open_handoffs(session: AsyncSession, limit: int) -> Sequence[Handoff]:
    """Hand-offs that wait or are in work, the oldest first."""
    query = select(Handoff).where(Handoff.status != "closed").order_by(Handoff.id)
    return (await session.scalars(query.limit(limit))).all()


async def traces_of(session: AsyncSession, conversation_id: str, limit: int) -> Sequence[Trace]:
    """The traces of a conversation's turns, in order."""
    query = select(Trace).where(Trace.conversation_id == conversation_id).order_by(Trace.id)
    return (await session.scalars(query.limit(limit))).all()
