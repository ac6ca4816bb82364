"""Authentication: verifies access tokens locally, with the public keys of login."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, TypeVar

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry, extract_compact
from prometheus_client import Histogram

from shared.errors import Forbidden, Unauthenticated, Unavailable, ZhiyinError
from shared.http.revocations import Revocations
from shared.settings import TENANT

__all__ = [
    "ALGORITHM",
    "DESK",
    "OPERATORS",
    "SIGNATURES",
    "TENANT_HEADER",
    "CurrentPrincipal",
    "JwksCache",
    "Principal",
    "TokenVerifier",
    "require",
]

log = structlog.get_logger(__name__)

T = TypeVar("T")

ALGORITHM = "EdDSA"
DESK, OPERATORS = ("agent", "supervisor", "admin"), ("operator", "admin")
"""The roles of those who work with customers, and of those who look after what failed."""

TENANT_HEADER = "X-Tenant"
"""For which tenant a service asks: that of the work, which need not be the one of its own token."""

SECONDS = Histogram(
    "zhiyin_token_verify_seconds",
    "Time to verify an access token",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1),
)

LEEWAY_SECONDS = 5
MAX_TOKEN = 4096
REMEMBERED_TOKENS = 10_000
REMEMBERED_SECONDS = 60.0
"""How long the result of a verification is reused; also the longest that a withdrawn key is still honoured."""

JWKS_MAX_AGE_SECONDS = 300
JWKS_MIN_AGE_SECONDS = 2
"""An unknown `kid` triggers a new fetch, but not more often than this, so that invented kids cost login nothing."""


class _Signatures(JWSRegistry):
    """EdDSA and nothing else, without joserfc's warning about its name.

    RFC 9864 calls it `Ed25519` now because `EdDSA` may also mean Ed448. Our keys are Ed25519 only, and other verifiers
    know just the old name, so the name stays.
    """

    def get_alg(self, name: str) -> JWSAlgModel:
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError(f"tokens are signed with {ALGORITHM}")
        return self.algorithms[name]


SIGNATURES: Final = _Signatures()
"""The signature algorithms that are accepted."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The caller. `customer` is their number in business, `subject` the account or guest.

    `session` is the log-in that their token comes from (services have none), `expires_at` the token's end in seconds
    since 1970; neither says who they are.
    """

    subject: str
    tenant: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    customer: str | None = None
    session: str | None = field(default=None, compare=False)
    expires_at: float = field(default=math.inf, compare=False)

    def has_any(self, *, roles: Collection[str], scopes: Collection[str]) -> bool:
        """Whether the caller has one of the roles or one of the scopes."""
        return not (self.roles.isdisjoint(roles) and self.scopes.isdisjoint(scopes))

    @property
    def is_service(self) -> bool:
        """Whether the token is a service's own: those have scopes and no roles, people's have roles and no scopes."""
        return bool(self.scopes) and not self.roles

    def asking_for(self, tenant: str | None) -> "Principal":
        """The same caller at work for the tenant that the request names, if it names one.

        Raises:
            Forbidden: a person names another tenant than their own, or no tenant has such a name.
        """
        if tenant is None or tenant == self.tenant:
            return self
        if not self.is_service:
            raise Forbidden("this token is good for its own tenant only")
        if not re.fullmatch(TENANT, tenant):
            raise Forbidden("no tenant has such a name")
        return replace(self, tenant=tenant)


class JwksCache:
    """Login's public keys; the last good ones stay in use while login is away."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Mapping[str, Any]]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, kid: str) -> KeySet:
        """The keys, fetched again when they are old or `kid` is not among them.

        Raises:
            Unavailable: no keys could be read from login, now or before.
        """
        if self._stale(kid):
            async with self._lock:
                if self._stale(kid):
                    await self._read()
        if self._keys is None:
            raise Unavailable("the keys to verify tokens with are not known yet", retry_after=JWKS_MIN_AGE_SECONDS)
        return self._keys

    def _stale(self, kid: str) -> bool:
        age = self._clock() - self._read_at
        known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
        return age > (JWKS_MAX_AGE_SECONDS if known else JWKS_MIN_AGE_SECONDS)

    async def _read(self) -> None:
        try:
            document = await self._fetch()
            self._keys = KeySet.import_key_set(dict(document))  # type: ignore[arg-type]
        except (ZhiyinError, JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("keys_not_read", error=type(error).__name__, known=self._keys is not None)
        # Failed attempts count too: while login is away, the next request must not wait for it again at once.
        self._read_at = self._clock()


class TokenVerifier:
    """Turns a bearer token into a `Principal`."""

    def __init__(
        self,
        jwks: JwksCache,
        *,
        issuer: str,
        audience: str,
        revocations: Revocations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._jwks = jwks
        self._revocations = revocations
        self._clock = clock
        self._verified: dict[str, tuple[Principal, float]] = {}
        self._registry = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
            tenant={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The caller that the token was issued to.

        Raises:
            Unauthenticated: the token is malformed, not signed by login, expired, issued for another audience, or its
                session was ended.
            Forbidden: it names no valid tenant.
            Unavailable: there are no keys to verify it with.
        """
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("the token is too long")
        if (known := self.known(token)) is not None:
            return known
        try:
            keys = await self._jwks.keys(_kid(token))
            with SECONDS.time():
                decoded = jwt.decode(token, keys, registry=SIGNATURES)
                self._registry.validate(decoded.claims)
            principal = _principal(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated("the access token is not valid or has expired") from error
        if self.ended(principal):
            raise Unauthenticated("the session was ended; log in again")
        return self._remember(token, principal)

    def known(self, token: str) -> Principal | None:
        """The caller, if the token was verified a short time ago and has not expired since."""
        principal, until = self._verified.get(token, (None, 0.0))
        return principal if principal and self._clock() < until and not self.ended(principal) else None

    def ended(self, principal: Principal) -> bool:
        """Whether the caller's session was ended, as far as login has told."""
        return self._revocations.cover(principal.session)

    def good(self, principal: Principal) -> bool:
        """Whether the caller's token is still good, for what goes on for longer than a request."""
        return self._clock() < principal.expires_at and not self.ended(principal)

    def _remember(self, token: str, principal: Principal) -> Principal:
        # Verifying a signature costs more than routing a request, and callers repeat their tokens.
        if len(self._verified) >= REMEMBERED_TOKENS:
            self._verified.clear()
        self._verified[token] = principal, min(principal.expires_at, self._clock() + REMEMBERED_SECONDS)
        return principal


def _kid(token: str) -> str:
    kid = extract_compact(token.encode("ascii")).headers()["kid"]
    if not isinstance(kid, str):
        raise ValueError("kid must be a string")
    return kid


def _principal(claims: Mapping[str, Any]) -> Principal:
    customer, session = claims.get("customer"), claims.get("sid")
    if not re.fullmatch(TENANT, claims["tenant"]):
        raise Forbidden("no tenant has such a name")
    return Principal(
        subject=str(claims["sub"]),
        tenant=str(claims["tenant"]),
        roles=frozenset(map(str, claims.get("roles") or ())),
        scopes=frozenset(str(claims.get("scope") or "").split()),
        customer=None if customer is None else str(customer),
        session=None if session is None else str(session),
        expires_at=float(claims["exp"]),
    )


_bearer = HTTPBearer(auto_error=False, description="An access token of the login service")


async def _current(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    if credentials is None:
        raise Unauthenticated("send an access token: `Authorization: Bearer …`")
    verifier: TokenVerifier = request.app.state.verifier
    principal = await verifier.verify(credentials.credentials)
    return principal.asking_for(request.headers.get(TENANT_HEADER))


CurrentPrincipal = Annotated[Principal, Depends(_current)]


def require(*, roles: Collection[str] = (), scopes: Collection[str] = ()) -> Callable[..., Awaitable[Principal]]:
    """A dependency that admits callers with one of the roles or one of the scopes.

    Raises:
        Forbidden: the caller has none of them.
    """
    wanted_roles, wanted_scopes = frozenset(roles), frozenset(scopes)

    async def check(principal: CurrentPrincipal) -> Principal:
        if principal.has_any(roles=wanted_roles, scopes=wanted_scopes):
            return principal
        wanted = sorted({f"role {role}" for role in wanted_roles} | {f"scope {scope}" for scope in wanted_scopes})
        raise Forbidden(f"this needs {' or '.join(wanted)}")

    return check
