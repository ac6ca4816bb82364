"""Access tokens: short-lived, signed, verified by every service by itself."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from joserfc import jwt
from prometheus_client import Counter

from services.login.keys import Keys
from services.login.settings import Settings
from shared.http.auth import ALGORITHM, SIGNATURES, Principal

__all__ = ["TokenIssuer"]

ISSUED = Counter("zhiyin_login_tokens_issued_total", "Access tokens issued", ["kind"])


class TokenIssuer:
    """Signs access tokens with what login knows about their subject."""

    def __init__(self, settings: Settings, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock

    def issue(self, principal: Principal, *, audience: Sequence[str], kind: str, lifetime: float) -> str:
        """A signed token for the principal, good for `lifetime` seconds.

        Args:
            audience: the services that accept it.
            kind: `account`, `guest` or `service`; counted.
        """
        moment = int(self._clock().timestamp())
        claims: dict[str, object] = {
            "iss": self._settings.issuer,
            "aud": audience[0] if len(audience) == 1 else list(audience),
            "sub": principal.subject,
            "tenant": principal.tenant,
            "roles": sorted(principal.roles),
            "scope": " ".join(sorted(principal.scopes)),
            "iat": moment,
            "exp": moment + int(lifetime),
            "jti": uuid.uuid4().hex,
        }
        if principal.session is not None:
            claims["sid"] = principal.session
        if principal.customer is not None:
            claims["customer"] = principal.customer
        key = self._keys.signer()
        token = jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, registry=SIGNATURES)
        ISSUED.labels(kind).inc()
        return token
