"""Proof that an instance is what the registry says of it.

Whoever can write to Consul can name any address. So login, which knows every service by its secret, signs what the
service registers, and readers verify that with login's keys and ignore what is not proven.

The signature is detached: what was signed is the entry itself, so only the expiry and the signature are kept beside it,
in half of the 512 characters that Consul allows.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Final

import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import extract_compact

from shared.calls.client import ServiceClient
from shared.calls.registration import PROOF, Instance
from shared.errors import DeadlineExceeded, Unavailable
from shared.http.auth import ALGORITHM, SIGNATURES, JwksCache

__all__ = ["OwnProof", "Proofs", "sign"]

log = structlog.get_logger(__name__)

TYPE: Final = "zhiyin-instance"
"""Told apart from access tokens, which are signed with the same keys."""
LEEWAY_SECONDS = 30
RENEW_AGAIN_SECONDS = 5.0
ASK_SECONDS = 3.0


def sign(key: OKPKey, installation: str, instance: Instance, *, expires: int) -> str:
    """The proof that a service of the installation has this instance, good until `expires` (Unix time, seconds)."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
    signed = jws.serialize_compact(header, _content(installation, instance, expires), key, registry=SIGNATURES)
    return f"{expires}.{jws.detach_content(signed)}"


class Proofs:
    """Verifies what others have registered, with login's keys."""

    def __init__(self, keys: JwksCache, installation: str, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._installation = installation
        self._clock = clock

    async def hold(self, instance: Instance) -> bool:
        """Whether login has signed this instance, and lately.

        Raises:
            Unavailable: there are no keys to verify it with.
        """
        try:
            expires, _, signature = instance.meta.get(PROOF, "").partition(".")
            if int(expires) + LEEWAY_SECONDS < self._clock():
                return False
            content = _content(self._installation, instance, int(expires))
            kid = extract_compact(signature.encode("ascii"), content).headers()["kid"]
            keys = await self._keys.keys(str(kid))
            found = jws.deserialize_compact(signature, keys, registry=SIGNATURES, payload=content)
            return bool(found.headers()["typ"] == TYPE)
        except (JoseError, ValueError, TypeError, KeyError):
            return False


class OwnProof:
    """This process' own proof: fetched from login with the service's credentials, renewed in time.

    While login is away the last one serves until it expires.
    """

    def __init__(self, login: ServiceClient, client_id: str, client_secret: str, instance: Instance) -> None:
        self._login = login
        self._body = {
            "client_id": client_id,
            "client_secret": client_secret,
            "instance": instance.id,
            "host": instance.host,
            "port": instance.port,
        }
        self._proof = ""
        self._renew_at = float("-inf")
        self._expires_at = float("-inf")
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        """A proof that is good now.

        Raises:
            Problem: login is away and the last proof has expired, or it does not know this service.
        """
        async with self._lock:
            if time.monotonic() >= self._renew_at:
                await self._renew()
        return self._proof

    async def _renew(self) -> None:
        try:
            answer = await self._login.post(
                "login", "/v1/instances", json=self._body, deadline=ASK_SECONDS, retry=True, authenticated=False
            )
        except (Unavailable, DeadlineExceeded):
            if time.monotonic() >= self._expires_at:
                raise
            log.warning("proof_not_renewed")
            self._renew_at = min(time.monotonic() + RENEW_AGAIN_SECONDS, self._expires_at)
            return
        lifetime = float(answer["expires_in"])
        self._proof = str(answer["proof"])
        self._expires_at = time.monotonic() + lifetime
        self._renew_at = time.monotonic() + lifetime / 2


def _content(installation: str, instance: Instance, expires: int) -> bytes:
    facts = [installation, instance.service, instance.id, instance.host, instance.port, expires]
    return json.dumps(facts, ensure_ascii=True, separators=(",", ":")).encode("ascii")
