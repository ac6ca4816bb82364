"""The keys that other services verify tokens with, and what is counted."""

import asyncio
import json
from base64 import urlsafe_b64decode

from joserfc.jwk import OKPKey

from tests.calls import Calls
from tests.integration.services.login.stage import CLIENT, Stage, verifier


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
