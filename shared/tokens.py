"""Who is asking: access tokens are verified here, locally, with the keys that login publishes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry, extract_compact
from prometheus_client import Histogram

from shared.errors import Forbidden, Unauthenticated, ZhiyinError

__all__ = ["ALGORITHM", "SIGNATURES", "CurrentPrincipal", "JwksCache", "Principal", "TokenVerifier", "require"]

ALGORITHM = "EdDSA"
SECONDS = Histogram(
    "zhiyin_token_verify_seconds",
    "Time to verify an access token",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1),
)

LEEWAY_SECONDS = 5
MAX_TOKEN = 4096
JWKS_MAX_AGE_SECONDS = 300
JWKS_MIN_AGE_SECONDS = 2
"""An unknown `kid` makes the keys be read again, but not more often than this: tokens of invented kids cost nothing."""


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
"""How tokens are signed and verified."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is asking. `customer` is the number that business knows them by, `subject` the account or guest."""

    subject: str
    tenant: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    customer: str | None = None


class JwksCache:
    """Login's public keys; the last good ones serve while login is away."""

    def __init__(self, fetch: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
        self._fetch = fetch
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, kid: str) -> KeySet:
        """The keys, read again when they are old or `kid` is not among them.

        Raises:
            Unavailable: login cannot be reached and no keys were read before.
        """
        if self._stale(kid):
            async with self._lock:
                if self._stale(kid):
                    await self._read()
        if self._keys is None:
            raise Unauthenticated("the keys to verify tokens with are not known yet")
        return self._keys

    def _stale(self, kid: str) -> bool:
        age = time.monotonic() - self._read_at
        known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
        return age > (JWKS_MAX_AGE_SECONDS if known else JWKS_MIN_AGE_SECONDS)

    async def _read(self) -> None:
        try:
            document = await self._fetch()
            self._keys = KeySet.import_key_set(dict(document))  # type: ignore[arg-type]
        except ZhiyinError:
            if self._keys is None:
                raise
        self._read_at = time.monotonic()


class TokenVerifier:
    """Turns a bearer token into a `Principal`."""

    def __init__(self, jwks: JwksCache, *, issuer: str, audience: str) -> None:
        self._jwks = jwks
        self._registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
            tenant={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for.

        Raises:
            Unauthenticated: the token is malformed, not signed by login, expired or meant for somebody else.
        """
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("the token is too long")
        try:
            keys = await self._jwks.keys(_kid(token))
            with SECONDS.time():
                decoded = jwt.decode(token, keys, registry=SIGNATURES)
                self._registry.validate(decoded.claims)
            return _principal(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated("the access token is not valid or has expired") from error


def _kid(token: str) -> str:
    kid = extract_compact(token.encode("ascii")).headers()["kid"]
    if not isinstance(kid, str):
        raise ValueError("kid must be a string")
    return kid


def _principal(claims: Mapping[str, Any]) -> Principal:
    customer = claims.get("customer")
    return Principal(
        subject=str(claims["sub"]),
        tenant=str(claims["tenant"]),
        roles=frozenset(map(str, claims.get("roles") or ())),
        scopes=frozenset(str(claims.get("scope") or "").split()),
        customer=None if customer is None else str(customer),
    )


_bearer = HTTPBearer(auto_error=False, description="An access token of the login service")


async def _current(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    if credentials is None:
        raise Unauthenticated("send an access token: `Authorization: Bearer …`")
    verifier: TokenVerifier = request.app.state.verifier
    return await verifier.verify(credentials.credentials)


CurrentPrincipal = Annotated[Principal, Depends(_current)]


def require(*, roles: Collection[str] = (), scopes: Collection[str] = ()) -> Callable[[Principal], Principal]:
    """A dependency that lets in whoever has one of the roles or one of the scopes.

    Raises:
        Forbidden: the caller has none of them.
    """
    wanted_roles, wanted_scopes = frozenset(roles), frozenset(scopes)

    def check(principal: CurrentPrincipal) -> Principal:
        if principal.roles & wanted_roles or principal.scopes & wanted_scopes:
            return principal
        wanted = sorted({f"role {role}" for role in wanted_roles} | {f"scope {scope}" for scope in wanted_scopes})
        raise Forbidden(f"this needs {' or '.join(wanted)}")

    return check
