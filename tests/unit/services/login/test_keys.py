"""Signing keys: published before they sign, kept until their tokens are over."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey
from pydantic import SecretStr

from services.login.keys import DatabaseKeys, FileKeys, make_keys, plan
from services.login.repository import signing_keys
from services.login.settings import Settings
from services.login.tokens import TokenIssuer
from shared.errors import ConfigurationError, Unavailable
from shared.http.auth import SIGNATURES, Principal
from shared.storage.database import ALL_TENANTS, Database
from tests.clocks import Clock

HOUR, DAY = 3600.0, 86400.0
START = datetime(2026, 1, 1, tzinfo=UTC)


def kids(document: dict[str, Any]) -> list[str]:
    return [key["kid"] for key in document["keys"]]


@given(
    rotation=st.floats(60, 10 * DAY),
    publish=st.floats(1, 10 * DAY),
    token=st.floats(1, 10 * DAY),
    step=st.floats(1, 3 * DAY),
)
def test_a_key_is_always_published_before_during_and_after_its_time(
    rotation: float, publish: float, token: float, step: float
) -> None:
    settings = Settings(
        key_rotation_seconds=rotation, key_publish_seconds=publish, access_seconds=token, service_seconds=token
    )
    keys: list[tuple[int, datetime]] = []
    published_at: dict[int, datetime] = {}
    last_signed: dict[int, datetime] = {}
    moment = START
    for _ in range(40):
        todo = plan(keys, moment, settings)
        if todo.next_signs_at is not None:
            keys.append((len(published_at) + 1, todo.next_signs_at))
            published_at[keys[-1][0]] = moment
        for generation in todo.remove:
            assert last_signed.get(generation, START) + timedelta(seconds=token) <= moment, "its tokens are over"
        keys = [key for key in keys if key[0] not in todo.remove]
        signer = [generation for generation, signs_at in keys if signs_at <= moment][-1]
        last_signed[signer] = moment
        if signer > 1:
            assert moment - published_at[signer] >= timedelta(seconds=publish), "verifiers had time to see it"
        moment += timedelta(seconds=step)


async def test_the_first_key_signs_at_once_and_survives_a_restart(database: Database, clock: Clock) -> None:
    keys = make_keys(Settings(), database, clock)
    with pytest.raises(Unavailable):
        keys.signer()
    await keys.refresh()
    again = make_keys(Settings(), database, clock)
    await again.refresh()
    assert keys.signer().kid == again.signer().kid
    assert keys.published() == again.published()


async def test_a_rotation_step_by_step(database: Database, clock: Clock) -> None:
    settings = Settings(key_rotation_seconds=30 * DAY, key_publish_seconds=HOUR, service_seconds=2 * HOUR)
    keys = DatabaseKeys(settings, database, clock)
    await keys.refresh()
    old = keys.signer().kid

    clock.advance(30 * DAY - HOUR - 1)
    await keys.refresh()
    assert kids(keys.published()) == [old]

    clock.advance(2)
    await keys.refresh()
    assert len(kids(keys.published())) == 2
    assert keys.signer().kid == old, "published, but it does not sign yet"

    clock.advance(HOUR)
    new = keys.signer().kid
    assert new != old, "it signs from its time on, without anybody's doing"
    await keys.refresh()
    assert kids(keys.published()) == [old, new]

    clock.advance(2 * HOUR + 10)
    await keys.refresh()
    assert kids(keys.published()) == [new]


async def test_after_a_long_stop_the_next_key_is_still_published_before_it_signs(
    database: Database, clock: Clock
) -> None:
    keys = DatabaseKeys(Settings(), database, clock)
    await keys.refresh()
    old = keys.signer().kid
    clock.advance(365 * DAY)
    await keys.refresh()
    assert len(kids(keys.published())) == 2
    assert keys.signer().kid == old


async def test_replicas_agree_on_a_key_that_both_wanted_to_make(database: Database, clock: Clock) -> None:
    class Late(DatabaseKeys):
        """Another replica that makes its key between this one's look and its own attempt."""

        async def _add(self, generation: int, signs_at: datetime) -> Any:
            await other.refresh()
            return await super()._add(generation, signs_at)

    other = DatabaseKeys(Settings(), database, clock)
    late = Late(Settings(), database, clock)
    await late.refresh()
    assert late.signer().kid == other.signer().kid
    assert late.published() == other.published()


async def test_private_keys_are_encrypted_in_the_database(database: Database, clock: Clock) -> None:
    keys = DatabaseKeys(Settings(login_secret=SecretStr("the right one")), database, clock)
    await keys.refresh()
    async with database.reading(ALL_TENANTS) as session:
        (row,) = await signing_keys(session)
    assert row.pem.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    other = DatabaseKeys(Settings(login_secret=SecretStr("another one")), database, clock)
    with pytest.raises(ConfigurationError, match="ZHIYIN_LOGIN_SECRET"):
        await other.refresh()


async def test_a_login_secret_is_replaced_and_the_keys_stay(database: Database, clock: Clock) -> None:
    before = DatabaseKeys(Settings(login_secret=SecretStr("old")), database, clock)
    await before.refresh()
    during = DatabaseKeys(
        Settings(login_secret=SecretStr("new"), login_secret_accepted=SecretStr("old")), database, clock
    )
    await during.refresh()
    assert during.published() == before.published()
    await before.refresh()
    assert before.signer().kid == during.signer().kid, "a replica that runs on knows its keys"
    after = DatabaseKeys(Settings(login_secret=SecretStr("new")), database, clock)
    await after.refresh()
    assert after.published() == before.published(), "no key needs the old secret any more"


def write(file: Path, *keys: Any, private: bool = True) -> None:
    file.write_text(json.dumps({"keys": [key.as_dict(private=private) for key in keys]}))


async def test_the_first_key_of_a_file_signs_and_all_are_published(
    tmp_path: Path, database: Database, clock: Clock
) -> None:
    first, second = (OKPKey.generate_key("Ed25519", auto_kid=True) for _ in range(2))
    write(tmp_path / "keys.json", first, second)
    keys = make_keys(Settings(signing_keys_file=tmp_path / "keys.json"), database, clock)
    with pytest.raises(Unavailable):
        keys.signer()
    await keys.refresh()
    assert keys.signer().kid == first.kid
    assert kids(keys.published()) == [first.kid, second.kid]
    assert all("d" not in key for key in keys.published()["keys"])


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"keys": []}', '{"keys": [{}]}', '{"keys": 7}', "\0"])
async def test_a_file_that_is_no_key_set_is_refused_at_the_start(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        await FileKeys(file).refresh()


async def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    nameless = OKPKey.generate_key("Ed25519")
    for key in (OKPKey.generate_key("X25519", auto_kid=True), ECKey.generate_key("P-256", auto_kid=True), nameless):
        write(file, key)
        with pytest.raises(ConfigurationError):
            await FileKeys(file).refresh()
    write(file, OKPKey.generate_key("Ed25519", auto_kid=True), private=False)
    with pytest.raises(ConfigurationError):
        await FileKeys(file).refresh()
    with pytest.raises(ConfigurationError):
        await FileKeys(tmp_path / "missing.json").refresh()


async def test_a_file_that_breaks_later_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = OKPKey.generate_key("Ed25519", auto_kid=True)
    write(file, key)
    keys = FileKeys(file)
    await keys.refresh()
    file.write_text("half a fi")
    await keys.refresh()
    assert keys.signer().kid == key.kid


async def test_a_token_says_who_for_how_long(database: Database, clock: Clock) -> None:
    keys = DatabaseKeys(Settings(), database, clock)
    await keys.refresh()
    issuer = TokenIssuer(Settings(), keys, clock)
    principal = Principal(subject="7", tenant="default", roles=frozenset({"agent", "admin"}), customer="C1001")
    tokens = [issuer.issue(principal, audience=["dialogue", "login"], kind="account", lifetime=60) for _ in range(2)]
    assert tokens[0] != tokens[1], "each has an id of its own"

    decoded = jwt.decode(tokens[0], KeySet.import_key_set(keys.published()), registry=SIGNATURES)  # type: ignore[arg-type]
    assert decoded.header == {"alg": "EdDSA", "kid": keys.signer().kid, "typ": "JWT"}
    moment = int(clock().timestamp())
    assert decoded.claims | {"jti": ""} == {
        "iss": "zhiyin",
        "aud": ["dialogue", "login"],
        "sub": "7",
        "tenant": "default",
        "roles": ["admin", "agent"],
        "scope": "",
        "customer": "C1001",
        "iat": moment,
        "exp": moment + 60,
        "jti": "",
    }
