"""The queries over the ledger and the dead letters; each takes a session of a unit of work that its caller commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from services.business.models import (
    DOUBTFUL,
    UNDECIDED,
    UNFINISHED,
    ActionRecord,
    ApprovalRecord,
    DeadLetter,
    EffectRecord,
    Installation,
)
from shared.contracts.actions import ActionReference
from shared.storage.dead_letters import DeadLetters

__all__ = [
    "LETTERS",
    "add_action",
    "add_dead_letter",
    "approvals_of",
    "backlog",
    "claim_action",
    "count_approvals",
    "count_dead_letters",
    "dead_letter_by_id",
    "dead_letters_after",
    "delete_actions",
    "delete_dead_letters",
    "doubtful",
    "due_rows",
    "find_action",
    "flush",
    "forgotten_until",
    "has_due_records",
    "mark_published",
    "postpone",
    "records_after",
]


LETTERS = DeadLetters(DeadLetter)
dead_letters_after, dead_letter_by_id, count_dead_letters = LETTERS.after, LETTERS.by_id, LETTERS.count


async def find_action(
    session: AsyncSession, action_id: str, *, lock: bool = False, without_json: bool = False
) -> ActionRecord | None:
    """An action's row in the ledger; `without_json` where the request or the result cannot be read."""
    query = select(ActionRecord).where(ActionRecord.action_id == action_id)
    if without_json:
        query = query.options(defer(ActionRecord.request), defer(ActionRecord.result))
    return await session.scalar(query.with_for_update() if lock else query)


async def records_after(session: AsyncSession, status: str, after: int, limit: int) -> Sequence[ActionRecord]:
    """Actions in a status, oldest first, from behind a row's id."""
    query = select(ActionRecord).where(ActionRecord.status == status, ActionRecord.id > after)
    return (await session.scalars(query.order_by(ActionRecord.id).limit(limit))).all()


async def backlog(session: AsyncSession) -> tuple[int, datetime | None]:
    """How many actions are not done, and since when the oldest of them waits."""
    query = select(func.count(), func.min(ActionRecord.created_at)).where(ActionRecord.status == "started", UNFINISHED)
    count, oldest = (await session.execute(query)).one()
    return count, oldest


async def doubtful(session: AsyncSession) -> tuple[int, datetime | None]:
    """Of how many calls it is unknown whether they had an effect, and since when of the first."""
    query = select(func.count(), func.min(EffectRecord.doubtful_since)).where(DOUBTFUL)
    count, oldest = (await session.execute(query)).one()
    return count, oldest


async def count_approvals(session: AsyncSession) -> dict[bool, int]:
    """How many actions wait for a person, by whether there was a reminder."""
    reminded = ApprovalRecord.reminders > 0
    found = (await session.execute(select(reminded, func.count()).where(UNDECIDED).group_by(reminded))).all()
    return {False: 0, True: 0} | {bool(each): count for each, count in found}


async def approvals_of(session: AsyncSession, action_ids: Sequence[str]) -> dict[str, ApprovalRecord]:
    """What there is to decide on about these actions, by their ids."""
    found = await session.scalars(select(ApprovalRecord).where(ApprovalRecord.action_id.in_(action_ids)))
    return {each.action_id: each for each in found}


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


DUE_COLUMNS = (
    ActionRecord.id,
    ActionRecord.action_id,
    ActionRecord.tenant,
    ActionRecord.status,
    ActionRecord.sends,
    ActionRecord.result_version,
    ActionRecord.published_version,
)
"""What a relay needs. A request or a result that cannot be read must not keep other rows from being sent."""


def _due(moment: datetime) -> tuple[Any, ...]:
    """One query for each of the two partial indexes; an OR of both conditions would read the whole table."""
    by_time = select(*DUE_COLUMNS).where(ActionRecord.resend_at <= moment).order_by(ActionRecord.resend_at)
    # The release before this one left `resend_at` empty when it closed an action; its unpublished results are due too.
    unpublished = ActionRecord.published_version < ActionRecord.result_version
    by_result = select(*DUE_COLUMNS).where(unpublished, ActionRecord.resend_at.is_(None)).order_by(ActionRecord.id)
    return by_time, by_result


async def has_due_records(session: AsyncSession, moment: datetime) -> bool:
    """Whether some action, or its result, is to be sent now."""
    for query in _due(moment):
        if await session.scalar(query.limit(1)) is not None:
            return True
    return False


async def due_rows(session: AsyncSession, moment: datetime, limit: int) -> Sequence[Any]:
    """`DUE_COLUMNS` of what is to be sent, locked; rows that another process has locked are skipped.

    Up to `limit` of each kind: of this release, and of the one before.
    """
    rows: list[Any] = []
    for query in _due(moment):
        rows += await session.execute(query.limit(limit).with_for_update(skip_locked=True))
    return rows


async def postpone(session: AsyncSession, ids: Sequence[int], until: datetime | None, *, sends: int) -> None:
    """Set when rows are due again (`None`: nothing of them is), and count `sends` more."""
    await session.execute(
        update(ActionRecord)
        .where(ActionRecord.id.in_(ids))
        .values(resend_at=until, sends=ActionRecord.sends + sends)
        .execution_options(synchronize_session=False)
    )


async def mark_published(session: AsyncSession, action: ActionReference, version: int) -> None:
    """Remember that a version of a result was announced; without a newer one there is nothing left to send."""
    nothing_left = and_(ActionRecord.result_version <= version, ActionRecord.status != "started")
    await session.execute(
        update(ActionRecord)
        .where(
            ActionRecord.tenant == action.tenant,
            ActionRecord.action_id == action.id,
            ActionRecord.published_version <= version,
        )
        .values(published_version=version, resend_at=case((nothing_left, None), else_=ActionRecord.resend_at))
        .execution_options(synchronize_session=False)
    )


async def forgotten_until(session: AsyncSession) -> datetime | None:
    """Until when accepted actions may be gone from the ledger."""
    return await session.scalar(select(Installation.forgotten_until))


async def delete_actions(
    session: AsyncSession, before: datetime, since: datetime | None, limit: int
) -> Sequence[datetime]:
    """Delete up to `limit` actions that ended before `before`, whose results were announced.

    What waits for a person stays: an approval, or a dead letter that nobody has decided on. From then on no action that
    was asked for before one of these is accepted any more.

    Returns:
        When each of them was accepted, in order; only those accepted at or after `since` are looked at.
    """
    undecided = exists().where(
        DeadLetter.tenant == ActionRecord.tenant, DeadLetter.action_id == ActionRecord.action_id, *LETTERS.untouched
    )
    query = (
        select(ActionRecord.id, ActionRecord.tenant, ActionRecord.action_id, ActionRecord.created_at)
        .where(
            ActionRecord.created_at < before,
            ActionRecord.updated_at < before,
            ActionRecord.status.in_(("succeeded", "failed", "rejected")),
            ActionRecord.published_version >= ActionRecord.result_version,
            ActionRecord.resend_at.is_(None),
            ~undecided,
        )
        .order_by(ActionRecord.created_at)
        .limit(limit)
        .with_for_update(of=ActionRecord, skip_locked=True)
    )
    if since is not None:
        query = query.where(ActionRecord.created_at >= since)
    found = (await session.execute(query)).all()
    if found:
        last = found[-1].created_at
        known = or_(Installation.forgotten_until.is_(None), Installation.forgotten_until < last)
        for change in (
            update(Installation).where(known).values(forgotten_until=last),
            delete(ActionRecord).where(ActionRecord.id.in_([row.id for row in found])),
            *(
                delete(table).where(
                    tuple_(table.tenant, table.action_id).in_([(row.tenant, row.action_id) for row in found])
                )
                for table in (EffectRecord, ApprovalRecord)
            ),
        ):
            await session.execute(change.execution_options(synchronize_session=False))
    return [row.created_at for row in found]


async def delete_dead_letters(
    session: AsyncSession, before: datetime, since: datetime | None, limit: int
) -> Sequence[datetime]:
    """Delete up to `limit` dead letters from before `before` that were retried or dismissed; as `delete_actions`."""
    query = select(DeadLetter.id, DeadLetter.created_at).where(
        DeadLetter.created_at < before, ~and_(*LETTERS.untouched)
    )
    if since is not None:
        query = query.where(DeadLetter.created_at >= since)
    query = query.order_by(DeadLetter.created_at).limit(limit).with_for_update(skip_locked=True)
    found = (await session.execute(query)).all()
    if found:
        ids = [row.id for row in found]
        await session.execute(
            delete(DeadLetter).where(DeadLetter.id.in_(ids)).execution_options(synchronize_session=False)
        )
    return [row.created_at for row in found]
