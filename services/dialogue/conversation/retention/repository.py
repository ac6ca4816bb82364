"""Deletes conversations that are over; the caller commits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import (
    ASSISTANT,
    Conversation,
    DeadLetter,
    DeadTurn,
    Entry,
    Handoff,
    OutboxRow,
    Timer,
    Trace,
)
from shared.storage.dead_letters import DeadLetters

__all__ = ["delete_conversations"]

PARTS = (Entry, Trace, OutboxRow, DeadLetter, DeadTurn, Handoff)
"""All that is of one conversation; the desk's audit log stays."""


async def delete_conversations(
    session: AsyncSession, before: datetime, since: datetime | None, limit: int
) -> Sequence[datetime]:
    """Delete up to `limit` conversations in which nothing has happened since `before`, with all that belongs to them.

    A conversation stays that the queue or an agent has, in which a message waits or an action is under way, or about
    which an operator has something to decide.

    Returns:
        When each of them was opened, in order; only those opened at or after `since` are looked at.
    """
    this = Conversation.id
    under_way = or_(
        exists().where(OutboxRow.conversation_id == this, OutboxRow.done.is_(False)),
        exists().where(Handoff.conversation_id == this, Handoff.status != "closed"),
        exists().where(DeadTurn.conversation_id == this, DeadTurn.status == "waiting"),
        exists().where(DeadLetter.conversation_id == this, *DeadLetters(DeadLetter).untouched),
    )
    query = (
        select(Conversation.id, Conversation.created_at)
        .where(
            Conversation.created_at < before,
            Conversation.updated_at < before,
            Conversation.floor == ASSISTANT,
            Conversation.pending_since.is_(None),
            ~under_way,
        )
        .order_by(Conversation.created_at)
        .limit(limit)
        # Whoever writes to one of them at this moment keeps it.
        .with_for_update(of=Conversation, skip_locked=True)
    )
    if since is not None:
        query = query.where(Conversation.created_at >= since)
    found = (await session.execute(query)).all()
    ids = [row.id for row in found]
    if ids:
        for part in PARTS:
            await session.execute(
                delete(part).where(part.conversation_id.in_(ids)).execution_options(synchronize_session=False)
            )
        timers = [f"session:{each}" for each in ids]
        for rest in (delete(Timer).where(Timer.key.in_(timers)), delete(Conversation).where(this.in_(ids))):
            await session.execute(rest.execution_options(synchronize_session=False))
    return [row.created_at for row in found]
