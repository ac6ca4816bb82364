"""Services that ask for tokens of their own (OAuth 2.0 client credentials)."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

from services.login.audit import Origin, record
from services.login.limits import Limits
from services.login.models import Client
from services.login.repository import client_named
from services.login.schemas import ClientCredentials, ServiceToken
from services.login.settings import Settings
from services.login.tokens import TokenIssuer
from shared.errors import Unauthenticated
from shared.http.auth import Principal
from shared.storage.database import Database

__all__ = ["SERVICE_PREFIX", "Clients", "digest_secret"]

SERVICE_PREFIX = "service-"


def digest_secret(secret: str) -> str:
    """How a client's secret is kept.

    A plain digest: the secrets are random and long (production refuses short ones), so there is nothing to try out,
    and argon2 would make every start of a service slower for no gain.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


class Clients:
    """Gives tokens to services."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        issuer: TokenIssuer,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._database = database
        self._issuer = issuer
        self._limits = limits
        self._clock = clock

    async def token(self, credentials: ClientCredentials, origin: Origin) -> ServiceToken:
        """A token with the scopes of the client; raises as `verified`."""
        client = await self.verified(credentials, origin)
        lifetime = self._settings.service_seconds
        principal = Principal(
            subject=f"{SERVICE_PREFIX}{client.client_id}",
            tenant=self._settings.tenant,
            scopes=frozenset(client.scopes),
        )
        token = self._issuer.issue(principal, kind="service", lifetime=lifetime)
        return ServiceToken(access_token=token, expires_in=int(lifetime))

    async def verified(self, credentials: ClientCredentials, origin: Origin) -> Client:
        """The client whose credentials these are.

        Raises:
            Unauthenticated: there is no such client or its secret is another one; the answer does not say which.
            TooManyRequests: too many asks from that address.
        """
        await self._limits.client(origin.address)
        async with self._database.reading(self._settings.tenant) as session:
            client = await client_named(session, credentials.client_id)
        shown = digest_secret(credentials.client_secret)
        if not hmac.compare_digest(shown, "" if client is None else client.secret_digest) or client is None:
            async with self._database.transaction(self._settings.tenant) as session:
                target = None if client is None else f"{SERVICE_PREFIX}{client.client_id}"
                record(session, "client_refused", origin, at=self._clock(), target=target)
            raise Unauthenticated("the client or its secret is wrong")
        return client
