"""Dialogue's tables: conversations, their transcript, traces, the outbox with its dead letters, and hand-offs."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now
from shared.storage.installation import InstallationMixin

__all__ = ["Base", "Conversation", "DeadLetter", "Entry", "Handoff", "Installation", "OutboxRow", "Trace"]


class Base(TableBase):
    """Dialogue's tables."""

    __abstract__ = True
    metadata = new_metadata()


class Conversation(TenantMixin, Base):
    """One conversation: its state, and the counters that order its transcript."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128), index=True)
    customer: Mapped[str | None] = mapped_column(String(64))
    assistant: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8))
    status: Mapped[str] = mapped_column(String(32), default="open")
    state: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    version: Mapped[int] = mapped_column(default=0)
    last_seq: Mapped[int] = mapped_column(default=0)
    answered_seq: Mapped[int] = mapped_column(default=0)
    pending_since: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Entry(TenantMixin, Base):
    """One event of a transcript."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("conversation_id", "message_id", name="uq_entries_message"),)

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    sender: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(String(64))
    choice: Mapped[str | None] = mapped_column(String(128))
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


class DeadLetter(TenantMixin, Base):
    """An action of the outbox that was given up, and what became of that."""

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    action_id: Mapped[str] = mapped_column(String(64), index=True)
    conversation_id: Mapped[str] = mapped_column(String(64))
    error: Mapped[str] = mapped_column(String(200))
    attempts: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)
    retried_at: Mapped[datetime | None]
    retried_by: Mapped[str | None] = mapped_column(String(128))
    dismissed_at: Mapped[datetime | None]
    dismissed_by: Mapped[str | None] = mapped_column(String(128))
    dismissed_because: Mapped[str | None] = mapped_column(String(500))


class Handoff(TenantMixin, Base):
    """A conversation that waits for a person."""

    __tablename__ = "handoffs"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    reason: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16), default="waiting", index=True)
    agent: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Installation(InstallationMixin, Base):
    """Whose database this is."""

    __tablename__ = "installation"
