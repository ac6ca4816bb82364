"""What turns that fail read and write in SQL; callers commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import ASSISTANT, QUEUE, Conversation, DeadTurn, Handoff, OutboxRow
from shared.errors import Conflict, NotFound
from shared.storage.database import now
from shared.storage.statements import Statement, Unit, insert_into, table_of

__all__ = [
    "GIVEN_UP_REASON",
    "Failing",
    "actions_so_far",
    "add_dead_turn",
    "count_dead_turns",
    "count_try",
    "dead_turn",
    "dead_turns_after",
    "failing",
    "forgotten",
    "put_back",
    "reopen",
    "settle",
    "to_be_retried",
]

WAITING = "waiting"
GIVEN_UP_REASON = "turn_failed"
"""Why the person was asked, as the hand-off says it."""

CONVERSATIONS, DEAD, HANDOFFS, OUTBOX = (
    table_of(Conversation),
    table_of(DeadTurn),
    table_of(Handoff),
    table_of(OutboxRow),
)


@dataclass(frozen=True, slots=True)
class Failing:
    """A conversation with a message that waits, without whatever may be unreadable in it."""

    id: str
    language: str
    answered_seq: int
    attempts: int
    retry_at: datetime | None


_this = CONVERSATIONS.c.id == bindparam("conversation")
_same = (
    _this,
    CONVERSATIONS.c.answered_seq == bindparam("answered"),
    CONVERSATIONS.c.attempts == bindparam("seen"),
    CONVERSATIONS.c.pending_since.is_not(None),
)
_retry_at = bindparam("at", type_=CONVERSATIONS.c.retry_at.type)

FAILING = Statement(
    select(
        CONVERSATIONS.c.id,
        CONVERSATIONS.c.language,
        CONVERSATIONS.c.answered_seq,
        CONVERSATIONS.c.attempts,
        CONVERSATIONS.c.retry_at,
    ).where(_this, CONVERSATIONS.c.pending_since.is_not(None))
)
SET_TRIES = Statement(
    update(CONVERSATIONS)
    .where(*_same)
    .values(attempts=bindparam("tries"), retry_at=_retry_at)
    .returning(CONVERSATIONS.c.id)
)
ACTION_IDS = Statement(select(OUTBOX.c.action_id).where(OUTBOX.c.conversation_id == bindparam("conversation")))
ADD_DEAD_TURN = insert_into(
    DeadTurn, "conversation_id", "seq", "answered_seq", "version", "attempts", "error", "state", "status", "created_at"
)
SETTLE = Statement(
    update(DEAD)
    .where(DEAD.c.id == bindparam("letter"), DEAD.c.status == WAITING)
    .values(
        status=bindparam("new_status"),
        reason=bindparam("why"),
        settled_by=bindparam("by"),
        settled_at=bindparam("moment", type_=DEAD.c.settled_at.type),
        state=None,
    )
    .returning(DEAD.c.id)
)
REOPEN = Statement(
    update(CONVERSATIONS)
    .where(_this, CONVERSATIONS.c.version == bindparam("seen"), CONVERSATIONS.c.floor == QUEUE)
    .values(
        floor=ASSISTANT,
        version=CONVERSATIONS.c.version + 1,
        state=bindparam("old_state", type_=CONVERSATIONS.c.state.type),
        answered_seq=bindparam("answered"),
        status="open",
        pending_since=bindparam("moment", type_=CONVERSATIONS.c.pending_since.type),
        attempts=0,
        retry_at=None,
    )
    .returning(CONVERSATIONS.c.id)
)
TAKE_BACK_HANDOFF = Statement(
    update(HANDOFFS)
    .where(
        HANDOFFS.c.conversation_id == bindparam("conversation"),
        HANDOFFS.c.status == WAITING,
        HANDOFFS.c.reason == GIVEN_UP_REASON,
    )
    .values(status="closed", agent=bindparam("by"), closed_at=bindparam("moment", type_=HANDOFFS.c.closed_at.type))
    .returning(HANDOFFS.c.id)
)


def failing(unit: Unit, conversation_id: str) -> Failing | None:
    """The conversation, if a message of its customer waits."""
    found = unit.row(FAILING, conversation=conversation_id)
    return None if found is None else Failing(*found)


def count_try(unit: Unit, seen: Failing, *, retry_at: datetime) -> Failing | None:
    """One attempt more, and when the next one may begin; None where the conversation went on since it was read."""
    return _set_tries(unit, seen, seen.attempts + 1, retry_at)


def put_back(unit: Unit, tried: Failing, *, retry_at: datetime) -> None:
    """One attempt less: it was not the turn that failed."""
    _set_tries(unit, tried, max(0, tried.attempts - 1), retry_at)


def _set_tries(unit: Unit, seen: Failing, tries: int, retry_at: datetime) -> Failing | None:
    written = unit.row(
        SET_TRIES, conversation=seen.id, answered=seen.answered_seq, seen=seen.attempts, tries=tries, at=retry_at
    )
    return None if written is None else Failing(seen.id, seen.language, seen.answered_seq, tries, retry_at)


def actions_so_far(unit: Unit, conversation_id: str) -> int:
    """How many numbers of actions the conversation has used; the next action gets this one."""
    numbers = [str(row[0]).rpartition(".")[2] for row in unit.rows(ACTION_IDS, conversation=conversation_id)]
    return max((int(number) + 1 for number in numbers if number.isdecimal()), default=0)


def add_dead_turn(
    unit: Unit,
    conversation_id: str,
    *,
    seq: int,
    answered_seq: int,
    version: int,
    attempts: int,
    error: str,
    state: Any,
) -> None:
    """Keeps a turn that was given up; `version` is the conversation's after it."""
    unit.run(
        ADD_DEAD_TURN, conversation_id=conversation_id, seq=seq, answered_seq=answered_seq, version=version,
        attempts=attempts, error=error, state=state, status=WAITING, created_at=now(),
    )  # fmt: skip


def settle(unit: Unit, letter: int, *, status: str, by: str, reason: str | None = None) -> None:
    """Marks a dead turn as retried or dismissed.

    Raises:
        Conflict: it is that already.
    """
    settled = unit.row(SETTLE, letter=letter, new_status=status, why=reason, by=by, moment=now())
    if settled is None:
        raise Conflict("this turn was retried or dismissed before")


def reopen(unit: Unit, letter: DeadTurn, *, by: str) -> None:
    """Makes the conversation what it was before its turn was given up: the message waits, and no person is asked for.

    Raises:
        Conflict: the conversation has gone on since.
    """
    seen = {"conversation": letter.conversation_id, "seen": letter.version, "answered": letter.answered_seq}
    reopened = unit.row(REOPEN, **seen, old_state=letter.state, moment=now())
    if (
        reopened is None
        or unit.row(TAKE_BACK_HANDOFF, conversation=letter.conversation_id, by=by, moment=now()) is None
    ):
        raise Conflict("the conversation has gone on since, or a person has it")


async def forgotten(session: AsyncSession, before: datetime, limit: int) -> list[tuple[str, str]]:
    """Tenant and id of conversations with a message unanswered since `before`, on which no turn has failed."""
    rows = await session.execute(
        select(Conversation.tenant, Conversation.id)
        .where(Conversation.pending_since < before, Conversation.retry_at.is_(None))
        .order_by(Conversation.pending_since, Conversation.id)
        .limit(limit)
    )
    return [(row.tenant, row.id) for row in rows]


async def to_be_retried(session: AsyncSession, moment: datetime, limit: int) -> list[tuple[str, str]]:
    """Tenant and id of conversations on which a turn has failed and the next attempt is due."""
    rows = await session.execute(
        select(Conversation.tenant, Conversation.id)
        .where(Conversation.retry_at <= moment, Conversation.pending_since.is_not(None))
        .order_by(Conversation.retry_at, Conversation.id)
        .limit(limit)
    )
    return [(row.tenant, row.id) for row in rows]


async def count_dead_turns(session: AsyncSession) -> int:
    """How many turns were given up and neither retried nor dismissed."""
    query = select(func.count()).select_from(DeadTurn).where(DeadTurn.status == WAITING)
    return int(await session.scalar(query) or 0)


async def dead_turns_after(session: AsyncSession, after: int, limit: int) -> Sequence[DeadTurn]:
    """Turns that were given up, oldest first."""
    query = select(DeadTurn).where(DeadTurn.id > after).order_by(DeadTurn.id).limit(limit)
    return (await session.scalars(query)).all()


async def dead_turn(session: AsyncSession, letter: int) -> DeadTurn:
    """A turn that was given up.

    Raises:
        NotFound: there is none with this id.
    """
    found = await session.scalar(select(DeadTurn).where(DeadTurn.id == letter))
    if found is None:
        raise NotFound("there is no such turn")
    return found
