"""Login's tables, and every query over them."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Integer, String, UniqueConstraint, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now

__all__ = [
    "Account",
    "AuditEvent",
    "Base",
    "Client",
    "Family",
    "SigningKey",
    "account_by_id",
    "account_for_update",
    "account_named",
    "accounts_after",
    "client_named",
    "delete_audit_before",
    "delete_families_before",
    "delete_keys",
    "events_before",
    "family_for_update",
    "revoke_families",
    "signing_keys",
]

ID, SUBJECT, NAME, DIGEST, HASH = String(32), String(64), String(64), String(64), String(256)


class Base(TableBase):
    """Login's tables."""

    __abstract__ = True
    metadata = new_metadata()


def new_id() -> str:
    """An id that nobody can guess."""
    return uuid.uuid4().hex


class Account(TenantMixin, Base):
    """A person with a password. `seed` is what the bootstrap file last said about them."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("tenant", "username"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(NAME)
    display_name: Mapped[str] = mapped_column(NAME)
    password_hash: Mapped[str] = mapped_column(HASH)
    roles: Mapped[list[str]] = mapped_column(JSON)
    customer: Mapped[str | None] = mapped_column(String(32))
    active: Mapped[bool] = mapped_column(default=True)
    seed: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Family(TenantMixin, Base):
    """One log-in and the refresh tokens that follow from it, of which exactly one is current.

    Only digests are kept, so that whoever reads this table cannot continue anybody's session.
    """

    __tablename__ = "refresh_families"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    subject: Mapped[str] = mapped_column(SUBJECT)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    current: Mapped[str] = mapped_column(DIGEST)
    previous: Mapped[str | None] = mapped_column(DIGEST, default=None)
    rotated_at: Mapped[datetime]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)


class Client(TenantMixin, Base):
    """A service that may ask for tokens of its own."""

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("tenant", "client_id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    client_id: Mapped[str] = mapped_column(NAME)
    secret_digest: Mapped[str] = mapped_column(DIGEST)
    scopes: Mapped[list[str]] = mapped_column(JSON)


class SigningKey(Base):
    """A key that signs from `signs_at` until the next generation does; of the installation, not of a tenant."""

    __tablename__ = "signing_keys"

    generation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kid: Mapped[str] = mapped_column(DIGEST, unique=True)
    pem: Mapped[str] = mapped_column(String(2048))
    signs_at: Mapped[datetime]


class AuditEvent(TenantMixin, Base):
    """Who did what, when and from where; never a secret, and never a user name that does not exist."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str | None] = mapped_column(SUBJECT)
    target: Mapped[str | None] = mapped_column(SUBJECT)
    address: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


async def account_by_id(session: AsyncSession, account_id: str) -> Account | None:
    """The account with the id."""
    return (await session.scalars(select(Account).where(Account.id == account_id))).one_or_none()


async def account_for_update(session: AsyncSession, account_id: str) -> Account | None:
    """The account with the id, held so that nobody else changes it until this unit of work ends."""
    return (await session.scalars(select(Account).where(Account.id == account_id).with_for_update())).one_or_none()


async def account_named(session: AsyncSession, username: str, *, for_update: bool = False) -> Account | None:
    """The account with the normalised user name; `for_update` keeps others from changing it in this unit of work."""
    query = select(Account).where(Account.username == username)
    return (await session.scalars(query.with_for_update() if for_update else query)).one_or_none()


async def accounts_after(session: AsyncSession, username: str, limit: int) -> Sequence[Account]:
    """Accounts in the order of their names, after the given one."""
    query = select(Account).where(Account.username > username).order_by(Account.username).limit(limit)
    return (await session.scalars(query)).all()


async def client_named(session: AsyncSession, client_id: str) -> Client | None:
    """The client with the id that it shows."""
    return (await session.scalars(select(Client).where(Client.client_id == client_id))).one_or_none()


async def family_for_update(session: AsyncSession, family_id: str) -> Family | None:
    """The family, held so that nobody else changes it until this unit of work ends."""
    return (await session.scalars(select(Family).where(Family.id == family_id).with_for_update())).one_or_none()


async def revoke_families(session: AsyncSession, account_id: str, moment: datetime) -> None:
    """Ends every session of an account."""
    open_ones = (Family.account_id == account_id) & Family.revoked_at.is_(None)
    await session.execute(update(Family).where(open_ones).values(revoked_at=moment))


async def delete_families_before(session: AsyncSession, moment: datetime) -> None:
    """Removes the sessions that ended by themselves."""
    await session.execute(delete(Family).where(Family.expires_at < moment))


async def signing_keys(session: AsyncSession) -> Sequence[SigningKey]:
    """All keys, oldest first."""
    return (await session.scalars(select(SigningKey).order_by(SigningKey.generation))).all()


async def delete_keys(session: AsyncSession, generations: Sequence[int]) -> None:
    """Removes keys whose last tokens have expired."""
    await session.execute(delete(SigningKey).where(SigningKey.generation.in_(generations)))


async def events_before(session: AsyncSession, before: int | None, limit: int) -> Sequence[AuditEvent]:
    """Audit events, newest first, older than the one with the id `before`."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return (await session.scalars(query)).all()


async def delete_audit_before(session: AsyncSession, moment: datetime) -> None:
    """Removes audit events that are older than they are kept."""
    await session.execute(delete(AuditEvent).where(AuditEvent.at < moment))
