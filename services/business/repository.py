"""The queries over the ledger and the dead letters; each takes a session of a unit of work that its caller commits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, and_, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.business.models import ActionRecord, DeadLetter
from shared.contracts.actions import ActionResult

__all__ = [
    "add_action",
    "add_dead_letter",
    "claim_action",
    "count_dead_letters",
    "dead_letter_by_id",
    "dead_letters_after",
    "due_records",
    "find_action",
    "flush",
    "has_due_records",
    "is_buried",
    "mark_published",
    "records_after",
]


async def find_action(session: AsyncSession, action_id: str, *, lock: bool = False) -> ActionRecord | None:
    """An action's row in the ledger."""
    query = select(ActionRecord).where(ActionRecord.action_id == action_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def records_after(session: AsyncSession, status: str, after: int, limit: int) -> Sequence[ActionRecord]:
    """Actions in a status, oldest first, from behind a row's id."""
    query = select(ActionRecord).where(ActionRecord.status == status, ActionRecord.id > after)
    return (await session.scalars(query.order_by(ActionRecord.id).limit(limit))).all()


async def dead_letters_after(session: AsyncSession, after: int, limit: int) -> Sequence[DeadLetter]:
    """Dead letters, oldest first, from behind an id."""
    query = select(DeadLetter).where(DeadLetter.id > after).order_by(DeadLetter.id).limit(limit)
    return (await session.scalars(query)).all()


async def dead_letter_by_id(session: AsyncSession, letter_id: int) -> DeadLetter | None:
    """One dead letter, held until the unit of work ends."""
    return await session.scalar(select(DeadLetter).where(DeadLetter.id == letter_id).with_for_update())


async def count_dead_letters(session: AsyncSession) -> int:
    """How many dead letters have not been retried."""
    query = select(func.count()).select_from(DeadLetter).where(DeadLetter.retried_at.is_(None))
    return await session.scalar(query) or 0


async def is_buried(session: AsyncSession, action_id: str) -> bool:
    """Whether there is a dead letter about an action."""
    return await session.scalar(select(DeadLetter.id).where(DeadLetter.action_id == action_id).limit(1)) is not None


def add_dead_letter(session: AsyncSession, letter: DeadLetter) -> None:
    """Store a message that was given up."""
    session.add(letter)


def add_action(session: AsyncSession, record: ActionRecord) -> None:
    """Store an action's first row; a concurrent one with the same id makes the commit raise `IntegrityError`."""
    session.add(record)


async def claim_action(session: AsyncSession, action_id: str, moment: datetime) -> bool:
    """Whether the action was still open and now belongs to this unit of work, which makes its effect."""
    claim = (
        update(ActionRecord)
        .where(ActionRecord.action_id == action_id, ActionRecord.status == "started")
        .values(running_until=None, updated_at=moment)
        .returning(ActionRecord.id)
    )
    return (await session.execute(claim)).scalar_one_or_none() is not None


async def flush(session: AsyncSession) -> None:
    """Send what was changed to the database, before the commit."""
    await session.flush()


def _due(moment: datetime) -> tuple[Select[ActionRecord], ...]:
    """One query for each of the two partial indexes; an OR of both conditions would read the whole table."""
    by_time = select(ActionRecord).where(ActionRecord.resend_at <= moment).order_by(ActionRecord.resend_at)
    # The release before this one left `resend_at` empty when it closed an action; its unpublished results are due too.
    unpublished = ActionRecord.published_version < ActionRecord.result_version
    by_result = select(ActionRecord).where(unpublished, ActionRecord.resend_at.is_(None)).order_by(ActionRecord.id)
    return by_time, by_result


async def has_due_records(session: AsyncSession, moment: datetime) -> bool:
    """Whether some action, or its result, is to be sent now."""
    for query in _due(moment):
        if await session.scalar(query.limit(1)) is not None:
            return True
    return False


async def due_records(session: AsyncSession, moment: datetime, limit: int) -> Sequence[ActionRecord]:
    """Actions that are to be sent, or whose result is, locked; those that another process has locked are skipped.

    Up to `limit` of each kind: of this release, and of the one before.
    """
    rows: list[ActionRecord] = []
    for query in _due(moment):
        rows += await session.scalars(query.limit(limit).with_for_update(skip_locked=True))
    return rows


async def mark_published(session: AsyncSession, result: ActionResult) -> None:
    """Remember that a version of a result is on its queue; without a newer one there is nothing left to send."""
    nothing_left = and_(ActionRecord.result_version <= result.version, ActionRecord.status != "started")
    await session.execute(
        update(ActionRecord)
        .where(
            ActionRecord.tenant == result.tenant,
            ActionRecord.action_id == result.action_id,
            ActionRecord.published_version <= result.version,
        )
        .values(published_version=result.version, resend_at=case((nothing_left, None), else_=ActionRecord.resend_at))
        .execution_options(synchronize_session=False)
    )
