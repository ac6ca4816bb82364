"""Known devices: who logged in from one before is let past the counters that others can fill.

A device's proof is `<seconds>.<random>.<mac>`. The code is about the account and its password hash, so it is worthless
for another account and after the password was changed, and nothing has to be stored.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime

from services.login.models import Account
from services.login.settings import DAY, Settings

__all__ = ["Devices"]

RANDOM_BYTES = 12


class Devices:
    """Issues and recognises proofs."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._keys = [hmac.new(each.encode(), b"device", hashlib.sha256).digest() for each in settings.login_secrets]
        self._longest = settings.device_days * DAY
        self._clock = clock

    def issue(self, account: Account) -> str:
        """The proof that somebody has logged in to the account from this device."""
        name = f"{int(self._clock().timestamp())}.{secrets.token_hex(RANDOM_BYTES)}"
        return f"{name}.{self._mac(account, name, self._keys[0])}"

    def recognised(self, account: Account | None, proof: str | None) -> str | None:
        """The device's own name, if the proof is one for this account and not too old."""
        if account is None or proof is None:
            return None
        name, _, mac = proof.rpartition(".")
        if not any(hmac.compare_digest(mac.encode(), self._mac(account, name, key).encode()) for key in self._keys):
            return None
        # What carries the code was written above.
        return name if self._clock().timestamp() - int(name.partition(".")[0]) < self._longest else None

    def _mac(self, account: Account, name: str, key: bytes) -> str:
        about = "\0".join((account.tenant, account.id, account.password_hash, name))
        return hmac.new(key, about.encode(), hashlib.sha256).hexdigest()
