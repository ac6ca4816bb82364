"""The statements about the outbox and its dead letters; each takes a session that its caller commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import DeadLetter, OutboxRow
from shared.contracts.actions import ActionReference
from shared.storage.database import now
from shared.storage.dead_letters import DeadLetters

__all__ = [
    "LETTERS",
    "backlog",
    "bring_forward",
    "count_failure",
    "count_letters",
    "due_rows",
    "finish",
    "finish_settled",
    "give_up",
    "has_due",
    "letter_by_id",
    "letters_after",
    "open_again",
    "postpone",
    "request_of_action",
]

DUE_COLUMNS = (OutboxRow.action_id, OutboxRow.tenant, OutboxRow.conversation_id, OutboxRow.attempts, OutboxRow.failures)
"""What a claim needs. A request that cannot be read must not keep other rows from being sent."""
LETTERS = DeadLetters(DeadLetter)
letters_after, letter_by_id, count_letters = LETTERS.after, LETTERS.by_id, LETTERS.count


async def has_due(session: AsyncSession, moment: datetime) -> bool:
    """Whether an action is to be sent now."""
    query = select(OutboxRow.action_id).where(OutboxRow.done.is_(False), OutboxRow.next_attempt_at <= moment).limit(1)
    return await session.scalar(query) is not None


async def due_rows(session: AsyncSession, moment: datetime, limit: int) -> Sequence[Any]:
    """`DUE_COLUMNS` of actions that are to be sent now, locked; rows that another process has locked are skipped."""
    query = (
        select(*DUE_COLUMNS)
        .where(OutboxRow.done.is_(False), OutboxRow.next_attempt_at <= moment)
        .order_by(OutboxRow.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await session.execute(query)).all()


async def postpone(session: AsyncSession, ids: Sequence[str], until: datetime, *, attempts: int) -> None:
    """Set when actions are due again, and add to the count of how often they were sent."""
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id.in_(ids), OutboxRow.done.is_(False))
        .values(next_attempt_at=until, attempts=OutboxRow.attempts + attempts)
        .execution_options(synchronize_session=False)
    )


async def request_of_action(session: AsyncSession, action_id: str) -> tuple[dict[str, Any], int]:
    """What is to be done, and the version of the result that was told last; raises `ValueError` if it is no JSON."""
    query = select(OutboxRow.request, OutboxRow.result_version).where(OutboxRow.action_id == action_id)
    request, version = (await session.execute(query)).one()
    return request, version


async def bring_forward(session: AsyncSession, action: ActionReference, moment: datetime) -> bool:
    """Have an action looked at now, also one that is done; whether there is such an action of this tenant.

    One that has failed keeps its pause, so that nobody can use up its attempts.
    """
    moved = await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id == action.id, OutboxRow.tenant == action.tenant, OutboxRow.failures == 0)
        .values(next_attempt_at=moment, done=False)
        .returning(OutboxRow.action_id)
        .execution_options(synchronize_session=False)
    )
    return moved.first() is not None


async def finish(session: AsyncSession, action_id: str, *, done: bool) -> None:
    """What was sent has been taken, so its failures are over; nothing more is expected if it is `done`."""
    values: dict[str, Any] = {"failures": 0, "last_error": None} | ({"done": True} if done else {})
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id == action_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )


async def finish_settled(session: AsyncSession, action_id: str) -> bool:
    """Nothing more is expected of an action whose final result was told; whether it was."""
    finished = await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id == action_id, OutboxRow.status.in_(("succeeded", "failed", "rejected")))
        .values(done=True)
        .returning(OutboxRow.action_id)
        .execution_options(synchronize_session=False)
    )
    return finished.first() is not None


async def count_failure(session: AsyncSession, action_id: str, error: str, until: datetime) -> int:
    """One failure more, and when the next attempt is made; how many there are."""
    counted = await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id == action_id)
        .values(failures=OutboxRow.failures + 1, last_error=error, next_attempt_at=until)
        .returning(OutboxRow.failures)
        .execution_options(synchronize_session=False)
    )
    return int(counted.scalar_one())


async def give_up(session: AsyncSession, letter: DeadLetter) -> None:
    """No more attempts at an action, but for a person's decision."""
    session.add(letter)
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id == letter.action_id)
        .values(done=True)
        .execution_options(synchronize_session=False)
    )


async def open_again(session: AsyncSession, action_id: str) -> bool:
    """A new set of attempts at an action; whether it is still there."""
    opened = await session.execute(
        update(OutboxRow)
        .where(OutboxRow.action_id == action_id)
        .values(done=False, failures=0, attempts=0, last_error=None, next_attempt_at=now())
        .returning(OutboxRow.action_id)
        .execution_options(synchronize_session=False)
    )
    return opened.first() is not None


async def backlog(session: AsyncSession) -> tuple[int, datetime | None]:
    """How many actions have no result yet, and since when the oldest of them waits; an approval may take days."""
    query = select(func.count(), func.min(OutboxRow.created_at)).where(
        OutboxRow.done.is_(False), OutboxRow.status.is_distinct_from("awaiting_approval")
    )
    count, oldest = (await session.execute(query)).one()
    return count, oldest
