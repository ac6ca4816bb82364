"""Guests, services, keys: tokens that other services verify by themselves."""

import asyncio
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from shared.calls.client import ServiceClient, ServiceTokens
from shared.calls.discovery import FixedDiscovery
from shared.errors import Unauthenticated
from shared.http.auth import JwksCache, Principal, TokenVerifier
from tests.calls import Calls
from tests.integration.services.login.stage import Stage

CLIENT = {"grant_type": "client_credentials", "client_id": "dialogue", "client_secret": "s" * 40}


def verifier(login: Calls) -> TokenVerifier:
    """Verifies as another service would, with nothing but the published keys."""

    async def fetch() -> dict[str, Any]:
        keys: dict[str, Any] = (await login.get("/.well-known/jwks.json")).body
        return keys

    return TokenVerifier(JwksCache(fetch), issuer="zhiyin", audience="zhiyin")


async def test_a_guest_is_the_demo_customer_in_development(login: Calls) -> None:
    first, second = [(await login.post("/v1/guest", json={})).body for _ in range(2)]
    who = await verifier(login).verify(first["access_token"])
    assert who.subject.startswith("guest-")
    assert who == Principal(
        subject=who.subject, tenant="default", roles=frozenset({"customer"}), scopes=frozenset(), customer="C1001"
    )
    assert (await verifier(login).verify(second["access_token"])).subject != who.subject
    renewed = (await login.post("/v1/refresh", json={"refresh_token": first["refresh_token"]})).body
    assert await verifier(login).verify(renewed["access_token"]) == who
    assert (await login.get("/v1/me", token=first["access_token"])).body["kind"] == "guest"


async def test_a_guest_is_nobody_where_the_settings_say_so(stage: Stage) -> None:
    login = await stage.login(guest_customer="")
    token = (await login.post("/v1/guest")).body["access_token"]
    assert (await verifier(login).verify(token)).customer is None


async def test_a_service_gets_a_token_with_its_scopes(login: Calls) -> None:
    answer = await login.post("/v1/token", json=CLIENT)
    assert (answer.status, answer.body["token_type"], answer.body["expires_in"]) == (200, "Bearer", 3600)
    assert await verifier(login).verify(answer.body["access_token"]) == Principal(
        subject="service-dialogue", tenant="default", scopes=frozenset({"business:lookup", "intent:predict"})
    )
    me = (await login.get("/v1/me", token=answer.body["access_token"])).body
    assert (me["kind"], me["roles"], me["scopes"]) == ("service", [], ["business:lookup", "intent:predict"])


@pytest.mark.parametrize("wrong", [{"client_secret": "t" * 40}, {"client_id": "nobody"}, {"client_id": "lilei"}])
async def test_a_wrong_secret_and_an_unknown_client_look_the_same(login: Calls, wrong: dict[str, str]) -> None:
    answer = await login.post("/v1/token", json=CLIENT | wrong)
    assert (answer.status, answer.body["detail"]) == (401, "the client or its secret is wrong")


async def test_the_client_of_the_other_services_gets_its_token_here(stage: Stage) -> None:
    login, url = await stage.login_at()
    client = ServiceClient(FixedDiscovery({"login": url}))
    tokens = ServiceTokens(client, "dialogue", "s" * 40)
    first = await tokens()
    assert await tokens() == first, "one token serves until it is half over"
    assert "business:lookup" in (await verifier(login).verify(first)).scopes
    with pytest.raises(Unauthenticated):
        await ServiceTokens(client, "dialogue", "wrong")()
    await client.close()


async def test_the_key_set_is_public_only_and_may_be_cached(login: Calls) -> None:
    answer = await login.get("/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert [set(key) for key in answer.body["keys"]] == [{"kty", "crv", "x", "kid", "use", "alg"}]


async def kid_of(login: Calls) -> str:
    token = (await login.post("/v1/guest")).body["access_token"]
    head = token.partition(".")[0]
    kid: str = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    return kid


async def test_keys_rotate_and_nobody_notices(stage: Stage) -> None:
    login = await stage.login(
        key_rotation_seconds=1.0, key_publish_seconds=0.5, upkeep_seconds=0.05, access_seconds=60, service_seconds=60
    )
    pair = (await login.post("/v1/guest")).body
    verify = verifier(login).verify
    who = await verify(pair["access_token"])
    first = await kid_of(login)
    async with asyncio.timeout(30):
        while (second := await kid_of(login)) == first:
            published = {key["kid"] for key in (await login.get("/.well-known/jwks.json")).body["keys"]}
            assert first in published
    published = {key["kid"] for key in (await login.get("/.well-known/jwks.json")).body["keys"]}
    assert {first, second} <= published, "the old key stays for the tokens that it signed"
    assert await verify(pair["access_token"]) == who
    renewed = (await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).body
    assert await verifier(login).verify(renewed["access_token"]) == who


async def test_two_replicas_sign_with_one_key_and_take_each_others_tokens(stage: Stage) -> None:
    first, second = await asyncio.gather(stage.login(), stage.login())
    assert await kid_of(first) == await kid_of(second)
    pair = (await first.post("/v1/guest")).body
    assert (await second.get("/v1/me", token=pair["access_token"])).status == 200
    answers = await asyncio.gather(
        *(each.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]}) for each in (first, second) * 3)
    )
    assert {each.status for each in answers} == {200}
    assert len({each.body["refresh_token"] for each in answers}) == 1


async def test_keys_of_a_file_sign_instead_of_the_database(stage: Stage) -> None:
    keys = [OKPKey.generate_key("Ed25519", auto_kid=True) for _ in range(2)]
    file = stage.folder / "keys.json"

    def write(*ordered: OKPKey) -> None:
        file.write_text(json.dumps({"keys": [key.as_dict(private=True) for key in ordered]}))

    write(*keys)
    login = await stage.login(signing_keys_file=file, upkeep_seconds=0.05)
    token = (await login.post("/v1/guest")).body["access_token"]
    assert await kid_of(login) == keys[0].kid
    write(keys[1], keys[0])
    async with asyncio.timeout(30):
        while await kid_of(login) != keys[1].kid:
            pass
    assert (await verifier(login).verify(token)).subject.startswith("guest-")
    document = (await login.get("/.well-known/jwks.json")).body
    assert [key["kid"] for key in document["keys"]] == [keys[1].kid, keys[0].kid]
    assert "d" not in document["keys"][0]


async def test_metrics_count_log_ins_and_tokens(login: Calls) -> None:
    async def count(line: str) -> float:
        for each in (await login.get("/metrics")).text.splitlines():
            if each.startswith(line):
                return float(each.rpartition(" ")[2])
        return 0.0

    issued = 'zhiyin_login_tokens_issued_total{kind="service"}'
    refused = 'zhiyin_login_attempts_total{outcome="refused"}'
    before = await count(issued), await count(refused)
    await login.post("/v1/token", json=CLIENT)
    await login.post("/v1/login", json={"username": "nobody", "password": "wrong one"})
    assert (await count(issued) - before[0], await count(refused) - before[1]) == (1, 1)
