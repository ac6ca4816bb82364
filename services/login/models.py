"""Login's tables."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now

__all__ = ["Account", "AuditEvent", "Base", "Client", "Family", "SigningKey", "new_id"]

ID, SUBJECT, NAME, DIGEST, HASH = String(32), String(64), String(64), String(64), String(256)


class Base(TableBase):
    """Login's tables."""

    __abstract__ = True
    metadata = new_metadata()


def new_id() -> str:
    """An id that cannot be guessed."""
    return uuid.uuid4().hex


class Account(TenantMixin, Base):
    """A person with a password. `seed` is what the bootstrap file last said about them.

    A password that somebody else chose is good until `initial_until`, and has to be replaced at the first log-in.
    """

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("tenant", "username"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(NAME)
    display_name: Mapped[str] = mapped_column(NAME)
    password_hash: Mapped[str] = mapped_column(HASH)
    initial_until: Mapped[datetime | None] = mapped_column(default=None)
    roles: Mapped[list[str]] = mapped_column(JSON)
    customer: Mapped[str | None] = mapped_column(String(32))
    active: Mapped[bool] = mapped_column(default=True)
    seed: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Family(TenantMixin, Base):
    """One log-in and the refresh tokens that follow from it, of which exactly one is current.

    Only digests are kept, so that a reader of this table cannot continue a session.
    """

    __tablename__ = "refresh_families"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    subject: Mapped[str] = mapped_column(SUBJECT, index=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    current: Mapped[str] = mapped_column(DIGEST)
    previous: Mapped[str | None] = mapped_column(DIGEST, default=None)
    rotated_at: Mapped[datetime]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(default=None, index=True)


class Client(TenantMixin, Base):
    """A service that may ask for tokens of its own; the secret that it had before is good until `previous_until`."""

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("tenant", "client_id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    client_id: Mapped[str] = mapped_column(NAME)
    secret_digest: Mapped[str] = mapped_column(DIGEST)
    previous_digest: Mapped[str | None] = mapped_column(DIGEST, default=None)
    previous_until: Mapped[datetime | None] = mapped_column(default=None)
    scopes: Mapped[list[str]] = mapped_column(JSON)


class SigningKey(Base):
    """A key that signs from `signs_at` until the next generation does; of the installation, not of a tenant."""

    __tablename__ = "signing_keys"

    generation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kid: Mapped[str] = mapped_column(DIGEST, unique=True)
    pem: Mapped[str] = mapped_column(String(2048))
    signs_at: Mapped[datetime]


class AuditEvent(TenantMixin, Base):
    """Who did what, when and from where; never a secret, and never a user name that does not exist.

    `place` and `seal` come a moment later (`seals.py`).
    """

    __tablename__ = "audit_events"
    __table_args__ = (UniqueConstraint("tenant", "place"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str | None] = mapped_column(SUBJECT)
    target: Mapped[str | None] = mapped_column(SUBJECT)
    address: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    place: Mapped[int | None] = mapped_column(default=None)
    seal: Mapped[str | None] = mapped_column(DIGEST, default=None)
