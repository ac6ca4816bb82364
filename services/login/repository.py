"""Every query over login's tables; each takes a session of a unit of work that its caller commits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.login.models import Account, AuditEvent, Client, Family, SigningKey

__all__ = [
    "account_by_id",
    "account_for_update",
    "account_named",
    "accounts_after",
    "add_account",
    "add_client",
    "add_event",
    "add_family",
    "add_key",
    "change_key",
    "client_named",
    "delete_audit_before",
    "delete_families_before",
    "delete_keys",
    "events_before",
    "events_from_place",
    "families_revoked_since",
    "family_for_update",
    "flush",
    "last_sealed",
    "open_families",
    "revoke_families",
    "signing_keys",
    "unsealed_events",
]


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


async def open_families(
    session: AsyncSession, subject: str, moment: datetime, *, for_update: bool = False
) -> Sequence[Family]:
    """The sessions of somebody that go on at the moment, the one used last first."""
    query = (
        select(Family)
        .where(Family.subject == subject, Family.revoked_at.is_(None), Family.expires_at > moment)
        .order_by(Family.rotated_at.desc())
    )
    return (await session.scalars(query.with_for_update() if for_update else query)).all()


async def families_revoked_since(session: AsyncSession, moment: datetime) -> Sequence[str]:
    """The ids of the sessions that were ended then or later."""
    return (await session.scalars(select(Family.id).where(Family.revoked_at >= moment))).all()


async def delete_families_before(session: AsyncSession, moment: datetime) -> None:
    """Removes the sessions that ended by themselves."""
    await session.execute(delete(Family).where(Family.expires_at < moment))


async def signing_keys(session: AsyncSession) -> Sequence[SigningKey]:
    """All keys, oldest first."""
    return (await session.scalars(select(SigningKey).order_by(SigningKey.generation))).all()


async def change_key(session: AsyncSession, kid: str, pem: str) -> None:
    """Keeps a key in another encryption."""
    await session.execute(update(SigningKey).where(SigningKey.kid == kid).values(pem=pem))


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
    """Removes audit events that are older than they are kept, from the log's beginning on and without a gap."""
    kept = aliased(AuditEvent)
    first_kept = select(func.min(kept.place)).where(kept.tenant == AuditEvent.tenant, kept.at >= moment)
    limit = first_kept.scalar_subquery()
    over = (AuditEvent.at < moment) & (limit.is_(None) | (AuditEvent.place < limit))
    await session.execute(delete(AuditEvent).where(over).execution_options(synchronize_session=False))


async def unsealed_events(session: AsyncSession, limit: int) -> Sequence[AuditEvent]:
    """Events that have no seal yet, oldest first."""
    query = select(AuditEvent).where(AuditEvent.place.is_(None)).order_by(AuditEvent.id).limit(limit)
    return (await session.scalars(query)).all()


async def last_sealed(session: AsyncSession, tenant: str) -> tuple[int, str]:
    """Place and seal of the tenant's last event that has them; the beginning of a log is (0, "")."""
    query = (
        select(AuditEvent.place, AuditEvent.seal)
        .where(AuditEvent.tenant == tenant, AuditEvent.place.is_not(None))
        .order_by(AuditEvent.place.desc())
        .limit(1)
    )
    found = (await session.execute(query)).one_or_none()
    return (0, "") if found is None else (found.place, found.seal)


async def events_from_place(session: AsyncSession, place: int, limit: int) -> Sequence[AuditEvent]:
    """Sealed events from the place on, in the order of their places."""
    query = select(AuditEvent).where(AuditEvent.place >= place).order_by(AuditEvent.place).limit(limit)
    return (await session.scalars(query)).all()


async def add_account(session: AsyncSession, account: Account) -> None:
    """Store a new account; raises `IntegrityError` if the name is taken."""
    session.add(account)
    await session.flush()


def add_client(session: AsyncSession, client: Client) -> None:
    """Store a new client."""
    session.add(client)


async def add_family(session: AsyncSession, family: Family) -> None:
    """Store a new session, which then has its id."""
    session.add(family)
    await session.flush()


def add_key(session: AsyncSession, key: SigningKey) -> None:
    """Store a new key; if another replica stored the same generation, the commit raises `IntegrityError`."""
    session.add(key)


def add_event(session: AsyncSession, event: AuditEvent) -> None:
    """Append to the audit log."""
    session.add(event)


async def flush(session: AsyncSession) -> None:
    """Send what was changed to the database, before the commit."""
    await session.flush()
