"""The audit log: who did what, when and from where."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from services.login.models import AuditEvent
from services.login.repository import add_event

__all__ = ["EventName", "Origin", "record"]

EventName = Literal[
    "account_changed",
    "account_created",
    "client_refused",
    "logged_in",
    "logged_out",
    "login_failed",
    "login_locked",
    "password_changed",
    "refresh_reused",
    "registered",
]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a request came from, and who made it if that is known."""

    address: str
    actor: str | None = None


def record(
    session: AsyncSession,
    event: EventName | str,
    origin: Origin,
    *,
    at: datetime,
    target: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Append an event in the same unit of work as what it records.

    Args:
        target: the subject that it was done to, where that is not the actor.
        detail: short and without secrets.
    """
    written: dict[str, Any] = dict(detail or {})
    add_event(
        session,
        AuditEvent(at=at, event=event, actor=origin.actor, target=target, address=origin.address, detail=written),
    )
