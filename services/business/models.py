"""The ledger of actions, which makes every effect happen once, and the dead letters."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now
from shared.storage.dead_letters import DeadLetterMixin
from shared.storage.installation import InstallationMixin
from shared.storage.timers import TimerMixin

__all__ = [
    "ActionRecord",
    "ApprovalRecord",
    "Base",
    "DeadLetter",
    "EffectRecord",
    "EffectStatus",
    "Installation",
    "LedgerStatus",
    "Timer",
]

LedgerStatus = Literal["started", "awaiting_approval", "succeeded", "failed", "rejected"]

UNPUBLISHED = text("published_version < result_version")
UNFINISHED = text("resend_at IS NOT NULL")
DOUBTFUL = text("doubtful_since IS NOT NULL")
UNDECIDED = text("decision IS NULL")

EffectStatus = Literal["saga", "ready", "called", "unknown", "done", "refused", "failed"]
"""`saga`: the row of an action of several steps, which itself is no call. `ready`: nothing has happened so far.
`called`: a call was begun, of which nothing more is known. `unknown`: the same, and it was given up for now."""


class Base(TableBase):
    """Business's tables."""

    __abstract__ = True
    metadata = new_metadata()


class ActionRecord(TenantMixin, Base):
    """The ledger: one row an action, whatever happens to the messages about it."""

    __tablename__ = "actions"
    __table_args__ = (
        UniqueConstraint("tenant", "action_id", name="uq_actions_tenant_action_id"),
        Index("ix_actions_unpublished", "id", sqlite_where=UNPUBLISHED, postgresql_where=UNPUBLISHED),
        Index("ix_actions_unfinished", "resend_at", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
        Index("ix_actions_status", "tenant", "status", "id"),
        Index("ix_actions_created_at", "created_at"),
        Index("ix_actions_customer", "tenant", "customer", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    customer: Mapped[str | None] = mapped_column(String(64))
    conversation_id: Mapped[str] = mapped_column(String(64))
    assistant: Mapped[str | None] = mapped_column(String(64))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(32))
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(String(200))
    running_until: Mapped[datetime | None]
    """Until then an attempt may still be under way; nobody else may conclude that it is not."""
    running_on: Mapped[str | None] = mapped_column(String(128))
    """The process that makes the attempt, for others on its machine to see that it has ended."""
    not_before: Mapped[datetime | None]
    """After a failed attempt: the next one is not made before, whatever comes off the queue."""
    put_offs: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often in a row the company's system was away, which uses up no attempt; the pauses between grow with it."""
    tried_since: Mapped[datetime | None]
    """Since when the company's system has been away."""
    sends: Mapped[int] = mapped_column(default=0)
    """How often its reference was queued since its last attempt; the pauses between grow with it."""
    resend_at: Mapped[datetime | None]
    """When the outbox sends it next: the action while it is not finished, its result until that is published."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    result_version: Mapped[int] = mapped_column(default=0)
    published_version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class EffectRecord(TenantMixin, Base):
    """A call to a company's system: of an action, of a step of one (from 1), or what takes a step back.

    It is written before the call, so that whatever happens then, it is known that there may have been one.
    """

    __tablename__ = "effects"
    __table_args__ = (
        UniqueConstraint("tenant", "action_id", "step", "undo", name="uq_effects_tenant_action_id"),
        Index("ix_effects_doubtful", "doubtful_since", sqlite_where=DOUBTFUL, postgresql_where=DOUBTFUL),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[str] = mapped_column(String(64))
    step: Mapped[int]
    undo: Mapped[bool]
    name: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    prepared: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What is sent: the same key must never come with another content."""
    calls: Mapped[int]
    called_at: Mapped[datetime | None]
    doubtful_since: Mapped[datetime | None]
    """Since when it has been unknown whether a call took effect; empty as long as all is known."""
    unknown_at: Mapped[datetime | None]
    """When people were first told that it is unknown."""
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    code: Mapped[str | None] = mapped_column(String(64))
    updated_at: Mapped[datetime]


class ApprovalRecord(TenantMixin, Base):
    """An action that waits for a person's yes, or did; what they decide on, and what became of it."""

    __tablename__ = "approvals"
    __table_args__ = (
        UniqueConstraint("tenant", "action_id", name="uq_approvals_tenant_action_id"),
        Index("ix_approvals_undecided", "created_at", sqlite_where=UNDECIDED, postgresql_where=UNDECIDED),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[str] = mapped_column(String(64))
    title: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    remind_seconds: Mapped[int | None]
    reminders: Mapped[int]
    reminded_at: Mapped[datetime | None]
    decision: Mapped[str | None] = mapped_column(String(16))
    """`approve`, `reject`, `expired`, `withdrawn`; empty while it waits."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(128))
    note: Mapped[str | None] = mapped_column(String(500))


class DeadLetter(DeadLetterMixin, Base):
    """An action that was given up, with everything an operator needs to understand it and try again."""

    __tablename__ = "dead_letters"

    action_id: Mapped[str | None] = mapped_column(String(64), index=True)
    name: Mapped[str | None] = mapped_column(String(64))
    payload: Mapped[str] = mapped_column(Text)
    error: Mapped[str] = mapped_column(String(500))
    attempts: Mapped[int] = mapped_column(default=0)
    step: Mapped[int | None]
    """Which call it is about, where it is about one: 0 is the action's own."""
    undo: Mapped[bool | None]
    happened: Mapped[bool | None]
    """What was found out about a call of which nobody knew; then `dismissed_by` is who said so."""


class Installation(InstallationMixin, Base):
    """Whose database this is.

    Actions that were accepted until `forgotten_until` may be gone from the ledger, and are not accepted again.
    """

    __tablename__ = "installation"

    forgotten_until: Mapped[datetime | None]


class Timer(TimerMixin, Base):
    """What business does later."""

    __tablename__ = "timers"
