"""What dialogue reads and writes in SQL: transcripts, turns, and the actions of the outbox.

Every function takes a session of a unit of work that its caller commits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import Conversation, Entry, Handoff, OutboxRow, Trace
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.events import Event, Option
from shared.errors import Conflict, NotFound, ZhiyinError
from shared.storage.database import now

__all__ = [
    "Accepted",
    "Appended",
    "Draft",
    "StaleTurn",
    "append_message",
    "append_replies",
    "due_actions",
    "events_after",
    "find_conversation",
    "next_unanswered",
    "outbox_row",
    "overdue_conversations",
    "replies_to",
]


class StaleTurn(ZhiyinError):
    """Another turn was committed first; read again and decide anew."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A reply that has no `seq` yet."""

    text: str
    options: tuple[Option, ...] = ()
    data: dict[str, Any] | None = None
    kind: str = "reply"
    sender: str = "assistant"


@dataclass(frozen=True)
class Accepted:
    """A customer's message with its place in the transcript."""

    entry: Entry
    new: bool
    """It was not there before."""
    next: bool
    """Nothing waits before it and nothing came between: a turn may begin with the conversation as it was read."""


@dataclass(frozen=True)
class Appended:
    """A turn's entries, and whether a message of the customer still waits for one."""

    entries: list[Entry]
    more: bool


async def find_conversation(session: AsyncSession, conversation_id: str, *, owner: str | None = None) -> Conversation:
    """The conversation, if it is this owner's (or whoever's, when none is named).

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = await session.get(Conversation, conversation_id)
    if row is None or (owner is not None and row.owner != owner):
        raise NotFound("there is no such conversation")
    return row


async def append_message(
    session: AsyncSession, conversation: Conversation, *, message_id: str, text: str, choice: str | None
) -> Accepted:
    """Puts the customer's message at the end of the transcript, unless it is there already.

    Raises:
        Conflict: the id was used before for another text.
    """
    known = await session.scalar(
        select(Entry).where(Entry.conversation_id == conversation.id, Entry.message_id == message_id)
    )
    if known is not None:
        if known.text != text or known.choice != choice:
            raise Conflict("this message_id was already used for another text", field="message_id")
        return Accepted(known, new=False, next=False)
    seq = await session.scalar(
        update(Conversation)
        .where(Conversation.id == conversation.id)
        .values(
            last_seq=Conversation.last_seq + 1,
            pending_since=func.coalesce(Conversation.pending_since, now()),
            updated_at=now(),
        )
        .returning(Conversation.last_seq)
        .execution_options(synchronize_session=False)
    )
    entry = Entry(
        conversation_id=conversation.id, seq=seq, kind="message", sender="customer", text=text,
        message_id=message_id, choice=choice, options=[], data={}, created_at=now(),
    )  # fmt: skip
    session.add(entry)
    await session.flush()
    alone = conversation.pending_since is None and seq == conversation.last_seq + 1
    return Accepted(entry, new=True, next=alone)


async def next_unanswered(session: AsyncSession, conversation: Conversation) -> Entry | None:
    """The oldest message of the customer that no turn has answered."""
    row: Entry | None = await session.scalar(
        select(Entry)
        .where(
            Entry.conversation_id == conversation.id,
            Entry.seq > conversation.answered_seq,
            Entry.kind == "message",
        )
        .order_by(Entry.seq)
        .limit(1)
    )
    return row


async def append_replies(
    session: AsyncSession,
    conversation: Conversation,
    *,
    drafts: list[Draft],
    state: dict[str, Any] | None,
    language: str,
    answers: Entry | None,
    status: str | None = None,
) -> Appended:
    """Commits a turn's outcome to the conversation as it was read: this is where a late writer is refused.

    Raises:
        StaleTurn: another turn was committed since `conversation` was read.
    """
    answered = conversation.answered_seq if answers is None else answers.seq
    row = await session.execute(
        update(Conversation)
        .where(Conversation.id == conversation.id, Conversation.version == conversation.version)
        .values(
            version=Conversation.version + 1,
            last_seq=Conversation.last_seq + len(drafts),
            # Where nothing came behind what is answered, nothing waits.
            pending_since=case((Conversation.last_seq == answered, None), else_=Conversation.pending_since),
            answered_seq=answered,
            state=state,
            language=language,
            status=status or Conversation.status,
            updated_at=now(),
        )
        .returning(Conversation.last_seq, Conversation.pending_since)
        .execution_options(synchronize_session=False)
    )
    written = row.one_or_none()
    if written is None:
        raise StaleTurn(conversation.id)
    last_seq, pending = written
    if pending is not None:
        waiting = exists().where(
            Entry.conversation_id == conversation.id, Entry.seq > answered, Entry.kind == "message"
        )
        pending = await session.scalar(select(waiting))
        if not pending:
            await session.execute(
                update(Conversation)
                .where(Conversation.id == conversation.id)
                .values(pending_since=None)
                .execution_options(synchronize_session=False)
            )
    first = last_seq - len(drafts) + 1
    entries = [
        Entry(
            conversation_id=conversation.id,
            seq=first + index,
            kind=draft.kind,
            sender=draft.sender,
            text=draft.text,
            in_reply_to=None if answers is None else answers.seq,
            options=[option.model_dump() for option in draft.options],
            data=draft.data or {},
            created_at=now(),
        )
        for index, draft in enumerate(drafts)
    ]
    session.add_all(entries)
    return Appended(entries, more=bool(pending))


async def events_after(session: AsyncSession, conversation_id: str, after: int, limit: int) -> list[Event]:
    """The transcript from behind `after`, in order."""
    rows = await session.scalars(
        select(Entry)
        .where(Entry.conversation_id == conversation_id, Entry.seq > after)
        .order_by(Entry.seq)
        .limit(limit)
    )
    return [row.event() for row in rows]


async def replies_to(session: AsyncSession, conversation_id: str, seq: int) -> list[Event]:
    """What was answered to the message with this `seq`."""
    rows = await session.scalars(
        select(Entry).where(Entry.conversation_id == conversation_id, Entry.in_reply_to == seq).order_by(Entry.seq)
    )
    return [row.event() for row in rows]


async def overdue_conversations(session: AsyncSession, before: datetime, limit: int) -> list[tuple[str, str]]:
    """Tenant and id of conversations with a message unanswered since `before`."""
    rows = await session.execute(
        select(Conversation.tenant, Conversation.id)
        .where(Conversation.pending_since < before)
        .order_by(Conversation.pending_since)
        .limit(limit)
    )
    return [(row.tenant, row.id) for row in rows]


async def due_actions(session: AsyncSession, moment: datetime, limit: int) -> list[OutboxRow]:
    """Actions to be sent now."""
    rows = await session.scalars(
        select(OutboxRow)
        .where(OutboxRow.done.is_(False), OutboxRow.next_attempt_at <= moment)
        .order_by(OutboxRow.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(rows)


def outbox_row(request: ActionRequest, context: dict[str, Any]) -> OutboxRow:
    """The row that makes sure of an action."""
    return OutboxRow(
        action_id=request.id,
        tenant=request.tenant,
        conversation_id=request.conversation_id,
        request=request.model_dump(mode="json"),
        context=context,
    )


async def find_action(session: AsyncSession, action_id: str) -> OutboxRow | None:
    """A decided action."""
    return await session.get(OutboxRow, action_id)


async def settle_action(session: AsyncSession, result: ActionResult, look_again_at: datetime) -> None:
    """Store a version of an action's result; raises `StaleTurn` if it or a newer one is stored already."""
    taken = await session.scalar(
        update(OutboxRow)
        .where(OutboxRow.action_id == result.action_id, OutboxRow.result_version < result.version)
        .values(result_version=result.version, status=result.status, done=result.final, next_attempt_at=look_again_at)
        .returning(OutboxRow.action_id)
        .execution_options(synchronize_session=False)
    )
    if taken is None:
        raise StaleTurn(result.action_id)


async def add_conversation(session: AsyncSession, conversation: Conversation) -> None:
    """Store a new conversation."""
    session.add(conversation)
    await session.flush()


def add_outcome(session: AsyncSession, *, actions: Iterable[OutboxRow], handoff: Handoff | None, trace: Trace) -> None:
    """Store what a turn leads to besides its replies."""
    session.add_all([*actions, *([] if handoff is None else [handoff]), trace])


async def own_conversations(session: AsyncSession, owner: str, limit: int) -> Sequence[Conversation]:
    """An owner's conversations, the newest first."""
    query = select(Conversation).where(Conversation.owner == owner).order_by(Conversation.updated_at.desc())
    return (await session.scalars(query.limit(limit))).all()
