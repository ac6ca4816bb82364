"""The keys that sign access tokens: published before they sign, kept until the last token that they signed is over.

A key of the database lives through four stages that follow from when it starts to sign and when its successor does:

    made ──key_publish──► signs ──key_rotation──► successor signs ──longest token──► removed
    └────────────────────────────── published in the key set ──────────────────────────────┘

Verifiers therefore always find the key of a token that is good, and nobody is logged out by a rotation.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy.exc import IntegrityError

from services.login.models import SigningKey
from services.login.repository import add_key, change_key, delete_keys, signing_keys
from services.login.settings import Settings
from shared.errors import ConfigurationError, Unavailable
from shared.http.auth import ALGORITHM, LEEWAY_SECONDS
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["DatabaseKeys", "FileKeys", "KeyPlan", "Keys", "make_keys", "plan"]

log = structlog.get_logger(__name__)

CURVE: Final = "Ed25519"

Clock = Callable[[], datetime]


class Keys(Protocol):
    """Where signing keys come from."""

    async def refresh(self) -> None:
        """Reads the keys again and does what is due; called at the start and then regularly."""
        ...

    def signer(self) -> OKPKey:
        """The key that signs now."""
        ...

    def published(self) -> dict[str, Any]:
        """The public halves as a JWK set."""
        ...


def make_keys(settings: Settings, database: Database, clock: Clock) -> Keys:
    """The keys of the file that the settings name, else those of the database."""
    if settings.signing_keys_file is not None:
        return FileKeys(settings.signing_keys_file)
    return DatabaseKeys(settings, database, clock)


@dataclass(frozen=True)
class KeyPlan:
    """What is to be done: when a next key starts to sign (None: none is needed yet), and which generations go."""

    next_signs_at: datetime | None
    remove: tuple[int, ...]


def plan(keys: Sequence[tuple[int, datetime]], moment: datetime, settings: Settings) -> KeyPlan:
    """What is due at `moment` for keys given as (generation, when it starts to sign), oldest first."""
    if not keys:
        return KeyPlan(moment, ())
    publish = timedelta(seconds=settings.key_publish_seconds)
    rotation = timedelta(seconds=settings.key_rotation_seconds)
    kept = timedelta(seconds=settings.longest_token_seconds + LEEWAY_SECONDS)
    newest = keys[-1][1]
    due = newest + rotation
    remove = tuple(generation for (generation, _), (_, successor) in pairwise(keys) if successor + kept < moment)
    return KeyPlan(max(due, moment + publish) if due - publish <= moment else None, remove)


class DatabaseKeys:
    """Keys that login makes, rotates and removes by itself; the private half is encrypted with the login secret."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._secrets = settings.login_secrets
        self._keys: tuple[tuple[datetime, OKPKey], ...] = ()

    async def refresh(self) -> None:
        """Reads the keys of all replicas, makes the next one when it is time, removes those that are over.

        Raises:
            ConfigurationError: the login secret is not the one that the keys were encrypted with.
        """
        async with self._database.reading(ALL_TENANTS) as session:
            rows = list(await signing_keys(session))
        todo = plan([(row.generation, row.signs_at) for row in rows], self._clock(), self._settings)
        if todo.next_signs_at is not None:
            rows = await self._add(rows[-1].generation + 1 if rows else 1, todo.next_signs_at)
        if todo.remove:
            async with self._database.transaction(ALL_TENANTS) as session:
                await delete_keys(session, todo.remove)
            rows = [row for row in rows if row.generation not in todo.remove]
        known = {str(key.kid): key for _, key in self._keys}
        self._keys = tuple([(row.signs_at, known.get(row.kid) or await self._open(row)) for row in rows])

    def signer(self) -> OKPKey:
        moment = self._clock()
        for signs_at, key in reversed(self._keys):
            if signs_at <= moment:
                return key
        raise Unavailable("there is no key to sign with yet", retry_after=1)

    def published(self) -> dict[str, Any]:
        return public_set(key for _, key in self._keys)

    async def _add(self, generation: int, signs_at: datetime) -> list[SigningKey]:
        key = OKPKey.generate_key(CURVE, auto_kid=True)
        row = SigningKey(generation=generation, kid=str(key.kid), pem=self._locked(key), signs_at=signs_at)
        try:
            async with self._database.transaction(ALL_TENANTS) as session:
                add_key(session, row)
            log.info("signing_key_made", kid=key.kid, generation=generation, signs_at=signs_at.isoformat())
        except IntegrityError:
            log.info("signing_key_made_by_another_replica", generation=generation)
        async with self._database.reading(ALL_TENANTS) as session:
            return list(await signing_keys(session))

    def _locked(self, key: OKPKey) -> str:
        return key.as_pem(private=True, password=self._secrets[0]).decode("ascii")

    async def _open(self, row: SigningKey) -> OKPKey:
        for secret in self._secrets:
            try:
                key = OKPKey.import_key(row.pem, {"kid": row.kid}, password=secret)
            except ValueError:
                continue
            if secret != self._secrets[0]:
                # So that the secret before is not needed for it any more.
                async with self._database.transaction(ALL_TENANTS) as session:
                    await change_key(session, row.kid, self._locked(key))
            return key
        raise ConfigurationError(
            "ZHIYIN_LOGIN_SECRET does not open the signing keys in the database; the one that they were made with "
            "belongs there, or into ZHIYIN_LOGIN_SECRET_ACCEPTED"
        )


class FileKeys:
    """Keys that an operator keeps and rotates: a JWK set with private keys, of which the first one signs.

    To rotate, append the new key; once all replicas and verifiers have read it, move it to the front; remove the old
    one when its last tokens have expired. A file that cannot be read later on changes nothing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys: tuple[OKPKey, ...] = ()

    async def refresh(self) -> None:
        """Reads the file again.

        Raises:
            ConfigurationError: there is no usable key in it, and none was read before.
        """
        try:
            self._keys = self._read()
        except (OSError, ValueError, TypeError, KeyError, JoseError) as error:
            log.error("signing_keys_file_unusable", error=type(error).__name__)
            if not self._keys:
                raise ConfigurationError(
                    f"{self._file} is not a JWK set of {CURVE} private keys with a `kid` each"
                ) from error

    def signer(self) -> OKPKey:
        if not self._keys:
            raise Unavailable("there is no key to sign with yet", retry_after=1)
        return self._keys[0]

    def published(self) -> dict[str, Any]:
        return public_set(self._keys)

    def _read(self) -> tuple[OKPKey, ...]:
        document = json.loads(self._file.read_text(encoding="utf-8"))
        keys = tuple(OKPKey.import_key(each) for each in document["keys"])
        if not keys or any(not key.is_private or key.curve_name != CURVE or not key.kid for key in keys):
            raise ValueError("not usable")
        return keys


def public_set(keys: Iterable[OKPKey]) -> dict[str, Any]:
    """What may be shown of the keys."""
    document = KeySet(list(keys)).as_dict(private=False)
    return {"keys": [{**key, "use": "sig", "alg": ALGORITHM} for key in document["keys"]]}
