"""Sessions: a pair of tokens for a person or a guest, its renewal and its end."""

import uuid
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.login.audit import Origin, record
from services.login.families import Families, Reused, session_id
from services.login.limits import Limits
from services.login.models import Account
from services.login.repository import families_revoked_since, open_families
from services.login.schemas import Revoked, SessionDetails, TokenPair
from services.login.settings import Settings
from services.login.tokens import TokenIssuer
from shared.errors import NotFound, Unauthenticated
from shared.http.auth import LEEWAY_SECONDS, Principal
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["GUEST_PREFIX", "Sessions", "audience_of"]

GUEST_PREFIX = "guest-"

OF_EVERYBODY = frozenset({"dialogue", "login"})
OF_ROLE = {
    "agent": {"business"},
    "supervisor": {"business"},
    "operator": {"business", "intent", "learning"},
    "admin": {"business", "intent", "learning"},
}
"""The services that staff work with directly; customers have nothing to do there, so their tokens are no good there."""


def audience_of(roles: Collection[str]) -> list[str]:
    """The services that accept a person with these roles."""
    return sorted(OF_EVERYBODY.union(*(OF_ROLE.get(role, ()) for role in roles)))


class Sessions:
    """Gives, renews and takes back pairs of tokens."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        families: Families,
        issuer: TokenIssuer,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._database = database
        self._families = families
        self._issuer = issuer
        self._limits = limits
        self._clock = clock

    async def open(self, session: AsyncSession, account: Account) -> TokenPair:
        """A new session of an account, in the caller's unit of work."""
        opened = await self._families.open(session, subject=account.id, account=account)
        return self._pair(account.id, account, opened.token, opened.session)

    async def guest(self, origin: Origin) -> TokenPair:
        """A session for an anonymous visitor.

        Raises:
            TooManyRequests: there were too many guests from that address.
        """
        await self._limits.guest(origin.address)
        subject = f"{GUEST_PREFIX}{uuid.uuid4()}"
        async with self._database.transaction(self._settings.tenant) as session:
            opened = await self._families.open(session, subject=subject, account=None)
        return self._pair(subject, None, opened.token, opened.session)

    async def refresh(self, token: str, origin: Origin) -> TokenPair:
        """The next pair of a session, with what is known about the account today.

        Raises:
            Unauthenticated: the token is no good, or was used before and its family is revoked now.
            TooManyRequests: too many renewals from that address.
        """
        await self._limits.refresh(origin.address)
        async with self._database.transaction(self._settings.tenant) as session:
            outcome = await self._families.renew(session, token)
            if isinstance(outcome, Reused):
                record(session, "refresh_reused", origin, at=self._clock(), target=outcome.subject)
        if outcome is None or isinstance(outcome, Reused):
            raise Unauthenticated("the refresh token is not valid any more; log in again")
        return self._pair(outcome.subject, outcome.account, outcome.token, outcome.session)

    async def logout(self, token: str, origin: Origin) -> None:
        """Ends the session that the token belongs to, if there is one."""
        async with self._database.transaction(self._settings.tenant) as session:
            family = await self._families.close(session, token)
            if family is not None and family.account_id is not None:
                record(session, "logged_out", Origin(address=origin.address, actor=family.subject), at=self._clock())

    async def own(self, principal: Principal) -> list[SessionDetails]:
        """The caller's sessions that go on, the one used last first."""
        async with self._database.reading(self._settings.tenant) as session:
            families = await open_families(session, principal.subject, self._clock())
        return [
            SessionDetails(
                id=(known := session_id(each.id)),
                created_at=each.created_at,
                used_at=each.rotated_at,
                expires_at=each.expires_at,
                current=known == principal.session,
            )
            for each in families
        ]

    async def end(self, principal: Principal, ended: str, origin: Origin) -> None:
        """Ends one of the caller's sessions.

        Raises:
            NotFound: the caller has no such session.
        """
        async with self._database.transaction(self._settings.tenant) as session:
            for family in await open_families(session, principal.subject, self._clock(), for_update=True):
                if session_id(family.id) == ended:
                    family.revoked_at = self._clock()
                    record(session, "logged_out", origin, at=self._clock())
                    return
        raise NotFound("there is no such session")

    async def ended_since(self, moment: datetime) -> Revoked:
        """The sessions of all tenants that were ended since then and whose access tokens may still be good."""
        kept = self._settings.longest_access_seconds + LEEWAY_SECONDS
        at = self._clock()
        async with self._database.reading(ALL_TENANTS) as session:
            families = await families_revoked_since(session, max(moment, at - timedelta(seconds=kept)))
        return Revoked(now=at.timestamp(), kept_seconds=kept, sessions=[session_id(each) for each in families])

    def _pair(self, subject: str, account: Account | None, refresh_token: str, session: str) -> TokenPair:
        roles = frozenset(["customer"] if account is None else account.roles)
        lifetime = self._settings.access_seconds if roles <= {"customer"} else self._settings.staff_access_seconds
        principal = Principal(
            session=session,
            subject=subject,
            tenant=self._settings.tenant,
            roles=roles,
            customer=self._settings.customer_of_guests if account is None else account.customer,
        )
        kind = "guest" if account is None else "account"
        access_token = self._issuer.issue(
            principal, audience=audience_of(principal.roles), kind=kind, lifetime=lifetime
        )
        return TokenPair(access_token=access_token, refresh_token=refresh_token, expires_in=int(lifetime))
