"""What dialogue reads and writes in SQL: transcripts, turns, and the actions of the outbox.

What every turn needs takes a `Unit` of prepared statements and gives frozen records; a turn is two units of work:

1. its message: SELECT the conversation, UPDATE its counters, INSERT the message;
2. its answer: UPDATE the conversation where its version is still the one that was read and the assistant still has the
   floor, INSERT replies and trace (and, seldom, the question whether more messages wait, an action, a hand-off).

While the queue or an agent has the floor no message waits for a turn: whatever is appended counts as answered.

What sweeps over all tenants takes a session. Callers commit.

One module because a turn's statements have to be read together: their order and their conditions are the guarantees.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation.models import ASSISTANT, QUEUE, Conversation, Entry, Handoff, OutboxRow, Trace
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.events import Event, Option
from shared.errors import Conflict, NotFound, ZhiyinError
from shared.storage.database import now
from shared.storage.statements import Statement, Unit, insert_into, table_of

__all__ = [
    "Accepted",
    "ActionRow",
    "Appended",
    "ConversationRow",
    "Draft",
    "EntryRow",
    "HandoffDraft",
    "StaleTurn",
    "TraceRow",
    "add_action",
    "add_conversation",
    "add_trace",
    "append_holding_reply",
    "append_message",
    "append_replies",
    "events_after",
    "find_action",
    "find_conversation",
    "find_message",
    "last_seqs",
    "next_unanswered",
    "replies_to",
    "settle_action",
    "status_of",
    "take_unused",
    "waits_elsewhere",
]

MESSAGE = "message"


class StaleTurn(ZhiyinError):
    """Another turn was committed first, or the floor was taken; read the conversation again and decide again."""


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation as it was read; the names are the table's columns."""

    id: str
    tenant: str
    owner: str
    customer: str | None
    assistant: str
    language: str
    status: str
    floor: str
    state: dict[str, Any] | None
    version: int
    last_seq: int
    answered_seq: int
    pending_since: datetime | None
    created_at: datetime
    updated_at: datetime
    attempts: int = 0
    retry_at: datetime | None = None
    turn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One event of a transcript; the names are the table's columns."""

    conversation_id: str
    seq: int
    kind: str
    sender: str
    text: str
    message_id: str | None
    choice: str | None
    customer: str | None
    in_reply_to: int | None
    options: list[dict[str, str]]
    data: dict[str, Any]
    created_at: datetime

    def event(self) -> Event:
        """The entry as clients read it."""
        return Event(
            seq=self.seq,
            kind=self.kind,
            sender=self.sender,
            text=self.text,
            message_id=self.message_id,
            in_reply_to=self.in_reply_to,
            options=tuple(Option(**option) for option in self.options),
            data=self.data,
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class TraceRow:
    """Why a turn went as it did, to be stored; the names are the table's columns."""

    conversation_id: str
    trigger: str
    understanding: dict[str, Any] | None
    steps: list[str]
    seconds: dict[str, float]
    created_at: datetime
    release: str | None = None
    """The release that the assistant went by; none of a turn that was given up."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """A decided action as far as its result needs it."""

    conversation_id: str
    request: dict[str, Any]
    context: dict[str, Any]
    result_version: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A reply that has no `seq` yet."""

    text: str
    options: tuple[Option, ...] = ()
    data: dict[str, Any] | None = None
    kind: str = "reply"
    sender: str = "assistant"


@dataclass(frozen=True, kw_only=True)
class HandoffDraft:
    """Why a person is needed, and what they have to know."""

    reason: str
    flow: str | None = None
    slots: dict[str, str | None] | None = None
    owner: str | None = None
    """Whose only open hand-off it has to be; nobody's where the person has not asked for it."""


@dataclass(frozen=True)
class Accepted:
    """A customer's message with its place in the transcript."""

    entry: EntryRow
    new: bool
    """It was not there before."""
    next: bool
    """Nothing waits before it and nothing came between: a turn may begin with the conversation as it was read."""
    floor: str | None = None
    """Who had the floor when it was appended; not known of one that was there before."""


@dataclass(frozen=True)
class Appended:
    """A turn's entries, whether a message of the customer still waits for one, and the end of the transcript."""

    entries: list[EntryRow]
    more: bool
    last_seq: int


def _names(row: type[Any]) -> list[str]:
    return [each.name for each in fields(row)]


CONVERSATIONS, ENTRIES, OUTBOX, HANDOFFS = (
    table_of(Conversation),
    table_of(Entry),
    table_of(OutboxRow),
    table_of(Handoff),
)

_this = CONVERSATIONS.c.id == bindparam("conversation")
_entry = select(*(ENTRIES.c[name] for name in _names(EntryRow))).where(
    ENTRIES.c.conversation_id == bindparam("conversation")
)
_moment = bindparam("moment", type_=CONVERSATIONS.c.updated_at.type)
_answers_nothing = CONVERSATIONS.c.answered_seq == bindparam("answered")

FIND_CONVERSATION = Statement(select(*(CONVERSATIONS.c[name] for name in _names(ConversationRow))).where(_this))
TAKE_UNUSED = Statement(
    update(CONVERSATIONS)
    .where(
        _this,
        CONVERSATIONS.c.created_at > bindparam("opened_after", type_=CONVERSATIONS.c.created_at.type),
        # The row alone tells: a message waits, or it was answered or a person's, which counts as answered.
        or_(
            CONVERSATIONS.c.owner == bindparam("new_owner"),
            and_(CONVERSATIONS.c.answered_seq == 0, CONVERSATIONS.c.pending_since.is_(None)),
        ),
    )
    .values(owner=bindparam("new_owner"), customer=bindparam("new_customer"))
    .returning(*(CONVERSATIONS.c[name] for name in _names(ConversationRow)))
)
FIND_MESSAGE = Statement(_entry.where(ENTRIES.c.message_id == bindparam("message")))
NEXT_UNANSWERED = Statement(
    _entry.where(ENTRIES.c.seq > bindparam("after"), ENTRIES.c.kind == MESSAGE).order_by(ENTRIES.c.seq).limit(1)
)
ENTRIES_AFTER = Statement(
    _entry.where(ENTRIES.c.seq > bindparam("after")).order_by(ENTRIES.c.seq).limit(bindparam("most"))
)
REPLIES_TO = Statement(_entry.where(ENTRIES.c.in_reply_to == bindparam("seq")).order_by(ENTRIES.c.seq))
_speaks_for = bindparam("speaks_for", type_=CONVERSATIONS.c.customer.type)
_assistant_has_it = CONVERSATIONS.c.floor == ASSISTANT
COUNT_MESSAGE = Statement(
    update(CONVERSATIONS)
    .where(_this)
    .values(
        last_seq=CONVERSATIONS.c.last_seq + 1,
        # The assistant's next turn is about its message's customer; a person is told at once whom they talk to.
        customer=case((_assistant_has_it, CONVERSATIONS.c.customer), else_=_speaks_for),
        answered_seq=case((_assistant_has_it, CONVERSATIONS.c.answered_seq), else_=CONVERSATIONS.c.last_seq + 1),
        pending_since=case((_assistant_has_it, func.coalesce(CONVERSATIONS.c.pending_since, _moment)), else_=None),
        updated_at=_moment,
    )
    .returning(CONVERSATIONS.c.last_seq, CONVERSATIONS.c.floor)
)
COUNT_HOLDING_REPLY = Statement(
    update(CONVERSATIONS)
    .where(_this, CONVERSATIONS.c.floor == QUEUE)
    .values(last_seq=CONVERSATIONS.c.last_seq + 1, answered_seq=CONVERSATIONS.c.last_seq + 1)
    .returning(CONVERSATIONS.c.last_seq)
)
TELL_ONCE = Statement(
    update(HANDOFFS)
    .where(
        HANDOFFS.c.conversation_id == bindparam("conversation"),
        HANDOFFS.c.status == "waiting",
        HANDOFFS.c.told.is_(False),
    )
    .values(told=True)
    .returning(HANDOFFS.c.id)
)
_answered = bindparam("answered", type_=CONVERSATIONS.c.answered_seq.type)
COMMIT_TURN = Statement(
    update(CONVERSATIONS)
    .where(_this, CONVERSATIONS.c.version == bindparam("seen"), CONVERSATIONS.c.floor == bindparam("speaker"))
    .values(
        floor=bindparam("new_floor"),
        customer=bindparam("new_customer"),
        version=CONVERSATIONS.c.version + 1,
        last_seq=CONVERSATIONS.c.last_seq + bindparam("replies"),
        # Where nothing came behind what is answered, nothing waits.
        pending_since=case(
            (CONVERSATIONS.c.last_seq == func.coalesce(_answered, CONVERSATIONS.c.last_seq), None),
            else_=CONVERSATIONS.c.pending_since,
        ),
        answered_seq=func.coalesce(_answered, CONVERSATIONS.c.last_seq + bindparam("replies")),
        state=bindparam("new_state", type_=CONVERSATIONS.c.state.type),
        language=bindparam("new_language"),
        status=func.coalesce(bindparam("new_status", type_=CONVERSATIONS.c.status.type), CONVERSATIONS.c.status),
        # What failed on a message is forgotten once that message is answered, and not before.
        attempts=case((_answers_nothing, CONVERSATIONS.c.attempts), else_=0),
        retry_at=case((_answers_nothing, CONVERSATIONS.c.retry_at), else_=None),
        turn_at=_moment,
        updated_at=_moment,
    )
    .returning(CONVERSATIONS.c.last_seq, CONVERSATIONS.c.pending_since)
)
NOTHING_WAITS = Statement(update(CONVERSATIONS).where(_this).values(pending_since=None))
FIND_ACTION = Statement(
    select(*(OUTBOX.c[name] for name in _names(ActionRow))).where(OUTBOX.c.action_id == bindparam("action"))
)
SETTLE_ACTION = Statement(
    update(OUTBOX)
    .where(OUTBOX.c.action_id == bindparam("action"), OUTBOX.c.result_version < bindparam("new_version"))
    .values(
        result_version=bindparam("new_version"),
        status=bindparam("new_status"),
        done=bindparam("final"),
        next_attempt_at=bindparam("again_at", type_=OUTBOX.c.next_attempt_at.type),
    )
    .returning(OUTBOX.c.action_id)
)
ADD_CONVERSATION = insert_into(Conversation, *(name for name in _names(ConversationRow) if name != "tenant"))
ADD_ENTRY = insert_into(Entry, *_names(EntryRow))
ADD_TRACE = insert_into(Trace, *_names(TraceRow))
ADD_HANDOFF = insert_into(
    Handoff, "conversation_id", "owner", "reason", "status", "flow", "slots", "told", "created_at"
)
WAITS_ELSEWHERE = Statement(
    select(HANDOFFS.c.id)
    .join(CONVERSATIONS, CONVERSATIONS.c.id == HANDOFFS.c.conversation_id)
    .where(
        CONVERSATIONS.c.owner == bindparam("owner"),
        CONVERSATIONS.c.id != bindparam("conversation"),
        HANDOFFS.c.status != "closed",
    )
    .limit(1)
)
ADD_ACTION = insert_into(
    OutboxRow, "action_id", "conversation_id", "request", "context", "done", "result_version", "attempts",
    "failures", "next_attempt_at", "created_at",
)  # fmt: skip


def add_conversation(
    unit: Unit, conversation_id: str, *, owner: str, customer: str | None, assistant: str, language: str
) -> ConversationRow:
    """A new conversation without any event."""
    moment = now()
    row = ConversationRow(
        id=conversation_id, tenant=unit.tenant, owner=owner, customer=customer, assistant=assistant,
        language=language, status="open", floor=ASSISTANT, state=None, version=0, last_seq=0, answered_seq=0,
        pending_since=None, created_at=moment, updated_at=moment,
    )  # fmt: skip
    unit.run(ADD_CONVERSATION, **_values(row))
    return row


def take_unused(
    unit: Unit, conversation_id: str, *, owner: str, customer: str | None, opened_after: datetime
) -> ConversationRow:
    """The conversation as its owner's, or from now on another one's where nobody has said anything in it yet.

    Raises:
        Conflict: it is somebody else's who has written in it, or it was opened too long ago.
    """
    found = unit.row(
        TAKE_UNUSED, conversation=conversation_id, new_owner=owner, new_customer=customer, opened_after=opened_after
    )
    if found is None:
        raise Conflict("this visit_id was used before", field="visit_id")
    return ConversationRow(*found)


def find_conversation(unit: Unit, conversation_id: str, *, owner: str | None = None) -> ConversationRow:
    """The conversation, if it is this owner's (or any owner's, when none is named).

    Raises:
        NotFound: there is none, or it belongs to another owner.
    """
    found = unit.row(FIND_CONVERSATION, conversation=conversation_id)
    row = None if found is None else ConversationRow(*found)
    if row is None or (owner is not None and row.owner != owner):
        raise NotFound("there is no such conversation")
    return row


def find_message(
    unit: Unit, conversation: ConversationRow, *, message_id: str, text: str, choice: str | None
) -> Accepted | None:
    """The customer's message, if it was appended before.

    Raises:
        Conflict: the id was used before for another text.
    """
    found = unit.row(FIND_MESSAGE, conversation=conversation.id, message=message_id)
    if found is None:
        return None
    known = EntryRow(*found)
    if known.text != text or known.choice != choice:
        raise Conflict("this message_id was already used for another text", field="message_id")
    return Accepted(known, new=False, next=False)


def append_message(
    unit: Unit,
    conversation: ConversationRow,
    *,
    message_id: str,
    text: str,
    choice: str | None,
    customer: str | None,
) -> Accepted:
    """Puts the message at the end of the transcript; `customer` is whom its sender speaks for.

    Raises:
        IntegrityError: it is there already; the unit of work has failed, and `find_message` finds it in another one.
    """
    moment = now()
    counted = unit.row(COUNT_MESSAGE, conversation=conversation.id, moment=moment, speaks_for=customer)
    if counted is None:
        raise NotFound("there is no such conversation")
    seq, floor = counted
    entry = EntryRow(
        conversation_id=conversation.id, seq=seq, kind=MESSAGE, sender="customer", text=text,
        message_id=message_id, choice=choice, customer=customer or "", in_reply_to=None, options=[], data={},
        created_at=moment,
    )  # fmt: skip
    unit.run(ADD_ENTRY, **_values(entry))
    alone = conversation.pending_since is None and seq == conversation.last_seq + 1
    # Where the floor was given back in between, the conversation is not as it was read.
    return Accepted(entry, new=True, next=alone and floor == conversation.floor == ASSISTANT, floor=floor)


def append_holding_reply(unit: Unit, message: EntryRow, draft: Draft) -> list[EntryRow]:
    """Tells who waits in the queue so, once a hand-off, in the unit of work that appended their message."""
    if unit.row(TELL_ONCE, conversation=message.conversation_id) is None:
        return []
    counted = unit.row(COUNT_HOLDING_REPLY, conversation=message.conversation_id)
    if counted is None:
        return []
    entry = _entry_of(draft, message.conversation_id, counted[0], message.seq, message.created_at)
    unit.run(ADD_ENTRY, **_values(entry))
    return [entry]


def next_unanswered(unit: Unit, conversation: ConversationRow) -> EntryRow | None:
    """The oldest message of the customer that no turn has answered."""
    found = unit.row(NEXT_UNANSWERED, conversation=conversation.id, after=conversation.answered_seq)
    return None if found is None else EntryRow(*found)


def append_replies(
    unit: Unit,
    conversation: ConversationRow,
    *,
    drafts: Sequence[Draft],
    state: dict[str, Any] | None,
    language: str,
    answers: EntryRow | None,
    customer: str | None,
    by: str = ASSISTANT,
    floor: str | None = None,
    handoff: HandoffDraft | None = None,
) -> Appended:
    """Writes what the assistant or an agent says to the conversation as it was read, where a late writer is refused.

    Args:
        customer: whom the state is about.
        by: who must have the floor for this to be written.
        floor: who has the floor from now on, if that changes.
        handoff: given, the conversation waits for a person from now on.

    Raises:
        StaleTurn: another turn was committed since `conversation` was read, or the floor was taken.
        IntegrityError: a hand-off of the same owner was opened elsewhere meanwhile.
    """
    moment = now()
    to = QUEUE if handoff is not None else floor or by
    # What still waits is a person's as soon as it is no longer the assistant's alone.
    answered = None
    if by == to == ASSISTANT:
        answered = conversation.answered_seq if answers is None else answers.seq
    written = unit.row(
        COMMIT_TURN,
        conversation=conversation.id,
        seen=conversation.version,
        speaker=by,
        new_floor=to,
        new_customer=customer,
        replies=len(drafts),
        answered=answered,
        new_state=state,
        new_language=language,
        new_status=None if to == by else status_of(to),
        moment=moment,
    )
    if written is None:
        raise StaleTurn(conversation.id)
    last_seq, pending = written
    if pending is not None:
        pending = unit.row(NEXT_UNANSWERED, conversation=conversation.id, after=answered)
        if pending is None:
            unit.run(NOTHING_WAITS, conversation=conversation.id)
    first = last_seq - len(drafts) + 1
    in_reply_to = None if answers is None else answers.seq
    entries = [
        _entry_of(draft, conversation.id, first + index, in_reply_to, moment) for index, draft in enumerate(drafts)
    ]
    unit.run_many(ADD_ENTRY, [_values(entry) for entry in entries])
    if handoff is not None:
        unit.run(
            ADD_HANDOFF, conversation_id=conversation.id, owner=handoff.owner, reason=handoff.reason, status="waiting",
            flow=handoff.flow, slots=handoff.slots, told=False, created_at=moment,
        )  # fmt: skip
    return Appended(entries, more=pending is not None, last_seq=last_seq)


def waits_elsewhere(unit: Unit, conversation: ConversationRow) -> bool:
    """Whether the owner waits for a person, or talks to one, in another conversation."""
    return unit.row(WAITS_ELSEWHERE, owner=conversation.owner, conversation=conversation.id) is not None


def status_of(floor: str) -> str:
    """The status of a conversation, by who has the floor."""
    return {ASSISTANT: "open", QUEUE: "waiting_for_agent"}.get(floor, "with_agent")


def _entry_of(draft: Draft, conversation_id: str, seq: int, in_reply_to: int | None, moment: datetime) -> EntryRow:
    return EntryRow(
        conversation_id=conversation_id,
        seq=seq,
        kind=draft.kind,
        sender=draft.sender,
        text=draft.text,
        message_id=None,
        choice=None,
        customer=None,
        in_reply_to=in_reply_to,
        options=[option.model_dump() for option in draft.options],
        data=draft.data or {},
        created_at=moment,
    )


def add_trace(unit: Unit, trace: TraceRow) -> None:
    """Keeps why a turn went as it did."""
    unit.run(ADD_TRACE, **_values(trace))


def add_action(unit: Unit, request: ActionRequest, context: dict[str, Any]) -> None:
    """Makes sure of an action: it is sent until its final result has come."""
    moment = now()
    unit.run(
        ADD_ACTION,
        action_id=request.id,
        conversation_id=request.conversation_id,
        request=request.model_dump(mode="json"),
        context=context,
        done=False,
        result_version=0,
        attempts=0,
        failures=0,
        next_attempt_at=moment,
        created_at=moment,
    )


def find_action(unit: Unit, action_id: str) -> ActionRow | None:
    """A decided action."""
    found = unit.row(FIND_ACTION, action=action_id)
    return None if found is None else ActionRow(*found)


def settle_action(unit: Unit, result: ActionResult, *, again_at: datetime) -> None:
    """Remembers the version of an action's result; one that is not final is asked for again at `again_at`.

    Raises:
        StaleTurn: that version was remembered before.
    """
    taken = unit.row(
        SETTLE_ACTION,
        action=result.action_id,
        new_version=result.version,
        new_status=result.status,
        final=result.final,
        again_at=again_at,
    )
    if taken is None:
        raise StaleTurn(result.action_id)


def events_after(unit: Unit, conversation_id: str, after: int, limit: int) -> list[Event]:
    """The transcript from behind `after`, in order."""
    rows = unit.rows(ENTRIES_AFTER, conversation=conversation_id, after=after, most=limit)
    return [EntryRow(*row).event() for row in rows]


def replies_to(unit: Unit, conversation_id: str, seq: int) -> list[Event]:
    """What was answered to the message with this `seq`."""
    return [EntryRow(*row).event() for row in unit.rows(REPLIES_TO, conversation=conversation_id, seq=seq)]


async def last_seqs(session: AsyncSession, conversations: Sequence[str]) -> Sequence[tuple[str, int]]:
    """The last event's `seq` of each of these conversations, whosesoever they are."""
    found = await session.execute(
        select(Conversation.id, Conversation.last_seq).where(Conversation.id.in_(conversations))
    )
    return [(row[0], row[1]) for row in found]


def _values(row: ConversationRow | EntryRow | TraceRow) -> dict[str, Any]:
    """Columns and values; `dataclasses.asdict` would copy everything below, too."""
    return {name: getattr(row, name) for name in row.__slots__}


async def own_conversations(session: AsyncSession, owner: str, limit: int) -> Sequence[Conversation]:
    """An owner's conversations, the newest first."""
    query = select(Conversation).where(Conversation.owner == owner).order_by(Conversation.updated_at.desc())
    return (await session.scalars(query.limit(limit))).all()
