"""The desk's queries; each takes a session of a unit of work that its caller commits."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import Handoff, Trace

__all__ = ["open_handoffs", "traces_of"]


async def open_handoffs(session: AsyncSession, limit: int) -> Sequence[Handoff]:
    """Hand-offs that wait or are in work, the oldest first."""
    query = select(Handoff).where(Handoff.status != "closed").order_by(Handoff.id)
    return (await session.scalars(query.limit(limit))).all()


async def traces_of(session: AsyncSession, conversation_id: str, limit: int) -> Sequence[Trace]:
    """The traces of a conversation's turns, in order."""
    query = select(Trace).where(Trace.conversation_id == conversation_id).order_by(Trace.id)
    return (await session.scalars(query.limit(limit))).all()
