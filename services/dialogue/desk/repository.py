"""The desk's queries; each takes a session of a unit of work that its caller commits."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import Handoff, Trace

__all__ = ["assign_handoffs", "open_handoffs", "traces_of", "was_handed_off"]


async def was_handed_off(session: AsyncSession, conversation_id: str) -> bool:
    """Whether a person was ever asked to take over the conversation."""
    query = select(Handoff.id).where(Handoff.conversation_id == conversation_id)
    return await session.scalar(query.limit(1)) is not None


async def open_handoffs(session: AsyncSession, limit: int) -> Sequence[Handoff]:
    """Hand-offs that wait or are in work, the oldest first."""
    query = select(Handoff).where(Handoff.status != "closed").order_by(Handoff.id)
    return (await session.scalars(query.limit(limit))).all()


async def assign_handoffs(session: AsyncSession, conversation_id: str, *, agent: str, status: str) -> None:
    """Give the conversation's open hand-offs to an agent, or close them."""
    await session.execute(
        update(Handoff)
        .where(Handoff.conversation_id == conversation_id, Handoff.status != "closed")
        .values(status=status, agent=agent)
    )


async def traces_of(session: AsyncSession, conversation_id: str, limit: int) -> Sequence[Trace]:
    """The traces of a conversation's turns, in order."""
    query = select(Trace).where(Trace.conversation_id == conversation_id).order_by(Trace.id)
    return (await session.scalars(query.limit(limit))).all()
