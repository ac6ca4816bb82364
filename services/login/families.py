"""Refresh tokens: each is used once and replaced by the next; one that comes back ends the session.

A token is `<family>.<secret>`. Of a family the database knows the digest of the current secret and of the one before.

* The current one is exchanged for the next.
* The previous one, within `refresh_grace_seconds` of its exchange, gets the *same* next one again. Two tabs of a page
  that refresh at the same moment, or a client whose answer was lost on the way, so keep their session; there is still
  never more than one live token a family, and a thief who comes within that window shares a token that the next
  exchange unmasks.
* Another one that login once made was used before: the family is revoked.
* Anything else is made up. It ends nothing, or whoever knows a family's id could end a session.

The next secret is computed from the presented one and the login secret, which is what makes the second answer equal
to the first without a token being stored anywhere. A secret ends with a code over its beginning, by which login knows
its own ones when it has long forgotten them.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.login.models import Account, Family, new_id
from services.login.repository import account_by_id, add_family, family_for_update
from services.login.settings import Settings

__all__ = ["Families", "Opened", "Renewed", "Reused", "session_id"]

SECRET_BYTES = 32
MAC_LENGTH = 64
SEPARATOR = "."


@dataclass(frozen=True)
class Reused:
    """A refresh token of this subject came back after it was exchanged; its family has just been revoked."""

    subject: str


@dataclass(frozen=True)
class Renewed:
    """Whom the session belongs to (no account: a guest), and the refresh token that continues it."""

    subject: str
    account: Account | None
    token: str
    session: str


@dataclass(frozen=True)
class Opened:
    """The first refresh token of a session, and the session's id."""

    token: str
    session: str


def session_id(family_id: str) -> str:
    """The name of a session in access tokens and lists.

    Not the family's own id, which is a part of refresh tokens: with it, whoever sees an access token could end the
    session by presenting a made-up refresh token of the family.
    """
    return hashlib.sha256(f"session:{family_id}".encode()).hexdigest()[:32]


class Families:
    """Opens, continues and ends sessions within the caller's unit of work."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._keys = [each.encode() for each in settings.login_secrets]
        self._idle = timedelta(seconds=settings.refresh_seconds)
        self._longest = timedelta(seconds=settings.session_seconds)
        self._grace = timedelta(seconds=settings.refresh_grace_seconds)
        self._clock = clock

    async def open(self, session: AsyncSession, *, subject: str, account: Account | None) -> Opened:
        """A new family and its first refresh token."""
        family_id, moment = new_id(), self._clock()
        secret = self._sealed(family_id, secrets.token_hex(SECRET_BYTES), self._keys[0])
        family = Family(
            id=family_id,
            subject=subject,
            account_id=None if account is None else account.id,
            current=_digest(secret),
            rotated_at=moment,
            created_at=moment,
            expires_at=moment + min(self._idle, self._longest),
        )
        await add_family(session, family)
        return Opened(f"{family.id}{SEPARATOR}{secret}", session_id(family.id))

    async def renew(self, session: AsyncSession, token: str) -> Renewed | Reused | None:
        """Exchanges a refresh token; None when it is no good, expired, revoked or its account closed.

        An answer and not an exception, because a revocation must be committed.
        """
        family, secret = await self._find(session, token)
        moment = self._clock()
        if family is None or family.revoked_at is not None or family.expires_at <= moment:
            return None
        shown = _digest(secret)
        following = self._following(family, secret, self._keys[0])
        if hmac.compare_digest(shown, family.current):
            family.previous, family.current = family.current, _digest(following)
            family.rotated_at = moment
            family.expires_at = min(moment + self._idle, family.created_at + self._longest)
        elif not (
            family.previous is not None
            and hmac.compare_digest(shown, family.previous)
            and moment - family.rotated_at < self._grace
        ):
            if not self._made_here(family.id, secret):
                return None
            family.revoked_at = moment
            return Reused(family.subject)
        else:
            # A replica with the other login secret may have made the one that this shall be equal to.
            made = [self._following(family, secret, key) for key in self._keys]
            following = next((each for each in made if _digest(each) == family.current), following)
        account = None
        if family.account_id is not None:
            account = await account_by_id(session, family.account_id)
            if account is None or not account.active:
                family.revoked_at = moment
                return None
        return Renewed(family.subject, account, f"{family.id}{SEPARATOR}{following}", session_id(family.id))

    async def close(self, session: AsyncSession, token: str) -> Family | None:
        """Ends the family whose token this is, old or new; None if there is nothing to end, or the token is made up."""
        family, secret = await self._find(session, token)
        if family is None or family.revoked_at is not None or not self._made_here(family.id, secret):
            return None
        family.revoked_at = self._clock()
        return family

    async def _find(self, session: AsyncSession, token: str) -> tuple[Family | None, str]:
        family_id, _, secret = token.partition(SEPARATOR)
        return await family_for_update(session, family_id), secret

    def _following(self, family: Family, secret: str, key: bytes) -> str:
        return self._sealed(family.id, _mac(key, f"refresh:{family.id}:{secret}"), key)

    def _sealed(self, family_id: str, random: str, key: bytes) -> str:
        return random + _mac(key, f"sealed:{family_id}:{random}")

    def _made_here(self, family_id: str, secret: str) -> bool:
        random = secret[:-MAC_LENGTH]
        made = (self._sealed(family_id, random, key) for key in self._keys)
        return any(hmac.compare_digest(secret.encode(), each.encode()) for each in made)


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _digest(secret: str) -> str:
    # The secrets are random and long, so a plain digest cannot be turned back; argon2 would only cost time.
    return hashlib.sha256(secret.encode()).hexdigest()
