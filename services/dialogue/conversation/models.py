"""Dialogue's tables: conversations with transcript and traces, the outbox, timers, the desk, and what was given up."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Dialect, ForeignKey, Index, String, Text, TypeDecorator, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now
from shared.storage.dead_letters import DeadLetterMixin
from shared.storage.installation import InstallationMixin
from shared.storage.timers import TimerMixin

__all__ = [
    "ASSISTANT",
    "QUEUE",
    "Base",
    "Conversation",
    "DeadLetter",
    "DeadTurn",
    "DeskEvent",
    "Entry",
    "Handoff",
    "Installation",
    "OutboxRow",
    "Timer",
    "Trace",
]

ASSISTANT, QUEUE = "assistant", "queue"
"""Who has the floor of a conversation when it is no agent; an agent is named by the subject of their account."""


class StoredState(TypeDecorator[Any]):
    """JSON that is handed on as it stands where it cannot be read, so that a damaged state stops no other use of the
    row: only what needs the state finds out."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        process = super().result_processor(dialect, coltype)

        def read(value: Any) -> Any:
            try:
                return value if process is None else process(value)
            except ValueError:
                return value

        return read


class Base(TableBase):
    """Dialogue's tables."""

    __abstract__ = True
    metadata = new_metadata()


class Conversation(TenantMixin, Base):
    """One conversation: its state, who has the floor, and the counters that order its transcript.

    `owner` is the account or guest who opened it, `customer` the number in business that the state is about, and
    `floor` who answers: the assistant, the queue (nobody yet) or an agent.
    `attempts` counts the failed turns of the oldest message that waits, and `retry_at` is when the next one begins;
    `turn_at` is when the last turn was committed.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_created_at", "created_at"),
        Index(
            "ix_conversations_retry_at",
            "retry_at",
            sqlite_where=text("retry_at IS NOT NULL"),
            postgresql_where=text("retry_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128), index=True)
    customer: Mapped[str | None] = mapped_column(String(64))
    assistant: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8))
    status: Mapped[str] = mapped_column(String(32), default="open")
    floor: Mapped[str] = mapped_column(String(128), default=ASSISTANT, server_default=ASSISTANT)
    state: Mapped[dict[str, Any] | None] = mapped_column(StoredState(none_as_null=True))
    version: Mapped[int] = mapped_column(default=0)
    last_seq: Mapped[int] = mapped_column(default=0)
    answered_seq: Mapped[int] = mapped_column(default=0)
    pending_since: Mapped[datetime | None] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    retry_at: Mapped[datetime | None]
    turn_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Entry(TenantMixin, Base):
    """One event of a transcript. `customer` is whom a message speaks for; empty is nobody, and NULL is not known."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("conversation_id", "message_id", name="uq_entries_message"),)

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    sender: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(String(64))
    choice: Mapped[str | None] = mapped_column(String(128))
    customer: Mapped[str | None] = mapped_column(String(64))
    in_reply_to: Mapped[int | None]
    options: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Trace(TenantMixin, Base):
    """Why a turn went as it did: what was understood, which steps decided, how long each stage took."""

    __tablename__ = "traces"
    __table_args__ = (UniqueConstraint("conversation_id", "trigger", name="uq_traces_trigger"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    trigger: Mapped[str] = mapped_column(String(128))
    understanding: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    steps: Mapped[list[str]] = mapped_column(JSON)
    seconds: Mapped[dict[str, float]] = mapped_column(JSON)
    release: Mapped[str | None] = mapped_column(String(64))
    """The release that the assistant went by; empty is the one of the settings, and NULL is not known."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class OutboxRow(TenantMixin, Base):
    """An action that was decided; it is sent until its final result has been applied."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "done", "next_attempt_at"),)

    action_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    context: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    done: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str | None] = mapped_column(String(32))
    result_version: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    """How often it failed by itself, in a row: it could not be read, was refused, or its result could not be told."""
    last_error: Mapped[str | None] = mapped_column(String(200))
    next_attempt_at: Mapped[datetime] = mapped_column(default=now)
    created_at: Mapped[datetime] = mapped_column(default=now)


class DeadLetter(DeadLetterMixin, Base):
    """An action of the outbox that was given up, and what became of that."""

    __tablename__ = "dead_letters"

    action_id: Mapped[str] = mapped_column(String(64), index=True)
    conversation_id: Mapped[str] = mapped_column(String(64))
    error: Mapped[str] = mapped_column(String(200))
    attempts: Mapped[int]


class Handoff(TenantMixin, Base):
    """A conversation that waits for a person or is with one, and what that person has to know.

    `owner` is whose only open one it is, NULL where that does not count. `told` is whether the customer, who wrote on
    while they waited, was told once that they wait.
    """

    __tablename__ = "handoffs"
    __table_args__ = (
        Index("ix_handoffs_queue", "tenant", "status", "id"),
        Index(
            "uq_handoffs_open",
            "conversation_id",
            unique=True,
            sqlite_where=text("status <> 'closed'"),
            postgresql_where=text("status <> 'closed'"),
        ),
        Index(
            "uq_handoffs_owner",
            "tenant",
            "owner",
            unique=True,
            sqlite_where=text("status <> 'closed'"),
            postgresql_where=text("status <> 'closed'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    owner: Mapped[str | None] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16), default="waiting", index=True)
    agent: Mapped[str | None] = mapped_column(String(128))
    flow: Mapped[str | None] = mapped_column(String(128))
    slots: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    told: Mapped[bool] = mapped_column(default=False, server_default=false())
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    claimed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class DeskEvent(TenantMixin, Base):
    """One line of the desk's audit log: who did or read what. Rows are added and never changed."""

    __tablename__ = "desk_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(128))
    conversation_id: Mapped[str | None] = mapped_column(String(64), index=True)
    handoff_id: Mapped[int | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)


class DeadTurn(TenantMixin, Base):
    """A turn that was given up: the customer got an apology and waits for a person. `state` is the one before it, for
    an operator who has it tried again; it goes when the row is settled."""

    __tablename__ = "dead_turns"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    seq: Mapped[int]
    answered_seq: Mapped[int]
    version: Mapped[int]
    attempts: Mapped[int]
    error: Mapped[str] = mapped_column(String(256))
    state: Mapped[dict[str, Any] | None] = mapped_column(StoredState(none_as_null=True))
    status: Mapped[str] = mapped_column(String(16), default="waiting", index=True)
    reason: Mapped[str | None] = mapped_column(String(500))
    settled_by: Mapped[str | None] = mapped_column(String(128))
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Timer(TimerMixin, Base):
    """What dialogue does later."""

    __tablename__ = "timers"


class Installation(InstallationMixin, Base):
    """Whose database this is."""

    __tablename__ = "installation"
