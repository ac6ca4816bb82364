"""The ledger of actions, which makes every effect happen once, and the dead letters."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now
from shared.storage.dead_letters import DeadLetterMixin
from shared.storage.installation import InstallationMixin
from shared.storage.timers import TimerMixin

__all__ = ["ActionRecord", "Base", "DeadLetter", "Installation", "LedgerStatus", "Timer"]

LedgerStatus = Literal["started", "awaiting_approval", "succeeded", "failed", "rejected"]

UNPUBLISHED = text("published_version < result_version")
UNFINISHED = text("resend_at IS NOT NULL")


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
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    customer: Mapped[str | None] = mapped_column(String(64))
    conversation_id: Mapped[str] = mapped_column(String(64))
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
    sends: Mapped[int] = mapped_column(default=0)
    """How often its reference was queued since its last attempt; the pauses between grow with it."""
    resend_at: Mapped[datetime | None]
    """When the outbox sends it next: the action while it is not finished, its result until that is published."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    result_version: Mapped[int] = mapped_column(default=0)
    published_version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class DeadLetter(DeadLetterMixin, Base):
    """An action that was given up, with everything an operator needs to understand it and try again."""

    __tablename__ = "dead_letters"

    action_id: Mapped[str | None] = mapped_column(String(64), index=True)
    name: Mapped[str | None] = mapped_column(String(64))
    payload: Mapped[str] = mapped_column(Text)
    error: Mapped[str] = mapped_column(String(500))
    attempts: Mapped[int] = mapped_column(default=0)


class Installation(InstallationMixin, Base):
    """Whose database this is.

    Actions that were accepted until `forgotten_until` may be gone from the ledger, and are not accepted again.
    """

    __tablename__ = "installation"

    forgotten_until: Mapped[datetime | None]


class Timer(TimerMixin, Base):
    """What business does later."""

    __tablename__ = "timers"
