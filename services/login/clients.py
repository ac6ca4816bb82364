"""Services that ask for tokens of their own (OAuth 2.0 client credentials)."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

from services.login.audit import Origin, record
from services.login.limits import Limits
from services.login.models import Client
from services.login.repository import client_named
from services.login.schemas import ClientCredentials, ClientSecret, ServiceToken
from services.login.settings import Settings
from services.login.tokens import TokenIssuer
from shared.errors import Forbidden, Unauthenticated
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
        """A token for one service, with those scopes of the client that are about that service.

        Scopes are written `<service>:<right>`, so what one service is shown opens nothing at another.

        Raises:
            Forbidden: the client has no scope at that service, or not the ones that it asks for; and as `verified`.
        """
        client = await self.verified(credentials, origin)
        scopes = frozenset(each for each in client.scopes if each.partition(":")[0] == credentials.audience)
        if not scopes:
            raise Forbidden("this client has no scope at the service that `audience` names")
        if credentials.scope is not None:
            wanted = frozenset(credentials.scope.split())
            if not wanted or not wanted <= scopes:
                raise Forbidden("this client has not all of the scopes that it asks for at that service")
            scopes = wanted
        lifetime = self._settings.service_seconds
        principal = Principal(
            subject=f"{SERVICE_PREFIX}{client.client_id}", tenant=self._settings.tenant, scopes=scopes
        )
        token = self._issuer.issue(principal, audience=[credentials.audience], kind="service", lifetime=lifetime)
        return ServiceToken(access_token=token, expires_in=int(lifetime), scope=" ".join(sorted(scopes)))

    async def verified(self, shown: ClientSecret, origin: Origin) -> Client:
        """The client whose credentials these are.

        Raises:
            Unauthenticated: there is no such client or its secret is another one; the answer does not say which.
            TooManyRequests: too many asks from that address.
        """
        await self._limits.client(origin.address)
        async with self._database.reading(self._settings.tenant) as session:
            client = await client_named(session, shown.client_id)
        digest, moment = digest_secret(shown.client_secret), self._clock()
        good = [""] if client is None else [client.secret_digest]
        if client is not None and client.previous_digest and client.previous_until and moment < client.previous_until:
            good.append(client.previous_digest)
        if not any(hmac.compare_digest(digest, each) for each in good) or client is None:
            async with self._database.transaction(self._settings.tenant) as session:
                target = None if client is None else f"{SERVICE_PREFIX}{client.client_id}"
                record(session, "client_refused", origin, at=moment, target=target)
            raise Unauthenticated("the client or its secret is wrong")
        return client
