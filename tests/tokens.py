"""Access tokens for tests, signed as login signs them."""

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from shared.calls.proof import Proofs, sign
from shared.calls.registration import PROOF, Instance
from shared.http.auth import ALGORITHM, SIGNATURES, JwksCache

__all__ = ["TokenFactory"]

SERVICES = ("business", "dialogue", "intent", "learning", "login")
"""Whom the tokens are for, unless a test says otherwise: every service."""

LIFETIME_SECONDS = 86_400.0
"""A token that is made when tests are collected must still be good when the last of them runs."""


class TokenFactory:
    """A signing key of its own, its public half, and tokens of any claims."""

    def __init__(self, *, issuer: str = "zhiyin", audience: str | Collection[str] = SERVICES) -> None:
        self.issuer = issuer
        self.audience = audience if isinstance(audience, str) else list(audience)
        self.kid = uuid.uuid4().hex
        self._key = OKPKey.generate_key("Ed25519", parameters={"kid": self.kid, "use": "sig", "alg": ALGORITHM})

    def jwks(self) -> dict[str, Any]:
        """The document that login publishes at `/.well-known/jwks.json`."""
        return dict(KeySet([self._key]).as_dict(private=False))

    async def fetch(self) -> Mapping[str, Any]:
        """What `create_service(jwks=...)` wants."""
        return self.jwks()

    def issue(
        self,
        subject: str = "account-1",
        *,
        tenant: str = "default",
        roles: Collection[str] = ("customer",),
        scopes: Collection[str] = (),
        customer: str | None = None,
        lifetime: float = LIFETIME_SECONDS,
        **claims: Any,
    ) -> str:
        """A signed token; `claims` replace or (with None) remove what the other arguments say."""
        moment = int(time.time())
        content: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "tenant": tenant,
            "roles": sorted(roles),
            "scope": " ".join(sorted(scopes)),
            "customer": customer,
            "iat": moment,
            "exp": moment + int(lifetime),
            "jti": uuid.uuid4().hex,
        } | claims
        kept = {name: value for name, value in content.items() if value is not None}
        return jwt.encode({"alg": ALGORITHM, "kid": self.kid}, kept, self._key, registry=SIGNATURES)

    def prove(
        self, instance: Instance, *, installation: str = "zhiyin", lifetime: float = LIFETIME_SECONDS
    ) -> Instance:
        """The instance with login's proof of it, as others find it in Consul."""
        expires = int(time.time() + lifetime)
        return replace(
            instance, meta={**instance.meta, PROOF: sign(self._key, installation, instance, expires=expires)}
        )

    def proofs(self, *, installation: str = "zhiyin") -> Proofs:
        """Verifies proofs as a service of the installation does."""
        return Proofs(JwksCache(self.fetch), installation)

    def headers(self, subject: str = "account-1", **arguments: Any) -> dict[str, str]:
        """The `Authorization` header with a token; arguments as in `issue`."""
        return {"Authorization": f"Bearer {self.issue(subject, **arguments)}"}
