"""Proofs of instances: what login has signed holds, and nothing else does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import OKPKey
from joserfc.jws import extract_compact

from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.calls.proof import OwnProof, Proofs, sign
from shared.calls.registration import PROOF, Instance
from shared.errors import Unauthenticated, Unavailable
from shared.http.auth import JwksCache, TokenVerifier
from shared.http.revocations import Revocations
from tests.tokens import TokenFactory

INSTANCE = Instance(id="zhiyin-business-pod-7", service="business", host="10.1.2.3", port=8080, meta={"version": "1"})
CONSULS_LIMIT = 512


def proof_of(instance: Instance) -> str:
    return instance.meta[PROOF]


def with_proof(instance: Instance, proof: str) -> Instance:
    return replace(instance, meta={**instance.meta, PROOF: proof})


async def test_what_login_signed_holds_whatever_else_the_entry_says() -> None:
    login = TokenFactory()
    proven = login.prove(INSTANCE)
    assert await login.proofs().hold(proven)
    assert await login.proofs().hold(replace(proven, meta={**proven.meta, "model": "shop@v2"}))


@pytest.mark.parametrize(
    "change",
    [
        {"service": "login"},
        {"service": "intent"},
        {"id": "zhiyin-business-pod-8"},
        {"host": "10.6.6.6"},
        {"host": "10.1.2.3:8080"},
        {"port": 8081},
    ],
)
async def test_it_holds_for_nothing_else(change: dict[str, Any]) -> None:
    login = TokenFactory()
    assert not await login.proofs().hold(replace(login.prove(INSTANCE), **change))


async def test_another_installation_does_not_believe_it() -> None:
    login = TokenFactory()
    assert not await login.proofs(installation="other").hold(login.prove(INSTANCE))
    assert not await TokenFactory().proofs().hold(login.prove(INSTANCE)), "nor one of the same name with its own login"


async def test_it_ends_though_clocks_need_not_agree_to_the_second() -> None:
    login = TokenFactory()
    assert await login.proofs().hold(login.prove(INSTANCE, lifetime=-10))
    assert not await login.proofs().hold(login.prove(INSTANCE, lifetime=-60))
    expires, _, signature = proof_of(login.prove(INSTANCE, lifetime=-60)).partition(".")
    assert not await login.proofs().hold(with_proof(INSTANCE, f"{int(expires) + 3600}.{signature}"))


@pytest.mark.parametrize(
    "proof",
    [
        "",
        ".",
        "x",
        "9999999999",
        "9999999999.",
        "9999999999...",
        "9999999999.a.b.c",
        "9999999999.é..",
        "1e9.a..b",
        "²...",
    ],
)
async def test_what_is_not_of_the_form_does_not_hold(proof: str) -> None:
    assert not await TokenFactory().proofs().hold(with_proof(INSTANCE, proof))
    assert not await TokenFactory().proofs().hold(INSTANCE)


async def no_news(since: float) -> Mapping[str, Any]:
    raise Unavailable(f"login does not tell what ended since {since}")


async def test_an_access_token_proves_nothing_and_a_proof_lets_nobody_in() -> None:
    login = TokenFactory()
    token = login.issue("service-business")
    header, _, signature = token.split(".")
    for forged in (f"9999999999.{token}", f"9999999999.{header}..{signature}"):
        assert not await login.proofs().hold(with_proof(INSTANCE, forged))
    verifier = TokenVerifier(
        JwksCache(login.fetch), issuer="zhiyin", audience="zhiyin", revocations=Revocations(no_news, period=60)
    )
    _, _, detached = proof_of(login.prove(INSTANCE)).partition(".")
    for middle in ("", "W10", header):
        header, _, signature = detached.split(".")
        with pytest.raises(Unauthenticated):
            await verifier.verify(f"{header}.{middle}.{signature}")


async def test_a_header_that_names_another_algorithm_does_not_hold() -> None:
    login = TokenFactory()
    _, _, detached = proof_of(login.prove(INSTANCE)).partition(".")
    assert extract_compact(detached.encode(), b"").headers()["alg"] == "EdDSA"
    _, _, signature = detached.split(".")
    none = "eyJhbGciOiJub25lIiwia2lkIjoieCIsInR5cCI6InpoaXlpbi1pbnN0YW5jZSJ9"
    assert not await login.proofs().hold(with_proof(INSTANCE, f"9999999999.{none}..{signature}"))


def test_the_longest_proof_fits_into_consuls_metadata() -> None:
    key = OKPKey.generate_key("Ed25519", parameters={"kid": "k" * 43})
    longest = Instance(id="i" * 256, service="business", host="h" * 253, port=65535)
    assert len(sign(key, "n" * 32, longest, expires=99_999_999_999)) <= CONSULS_LIMIT


async def test_without_keys_nothing_can_be_said() -> None:
    async def away() -> Mapping[str, Any]:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await Proofs(JwksCache(away), "zhiyin").hold(TokenFactory().prove(INSTANCE))


async def test_a_key_that_came_by_rotation_is_fetched() -> None:
    old, new = TokenFactory(), TokenFactory()
    published = [old]
    moment = [1000.0]

    async def fetch() -> Mapping[str, Any]:
        return {"keys": [key for each in published for key in each.jwks()["keys"]]}

    proofs = Proofs(JwksCache(fetch, clock=lambda: moment[0]), "zhiyin")
    assert await proofs.hold(old.prove(INSTANCE))
    published.append(new)
    moment[0] += 3
    assert await proofs.hold(new.prove(INSTANCE))
    assert await proofs.hold(old.prove(INSTANCE))
    published.remove(old)
    moment[0] += 301
    assert not await proofs.hold(old.prove(INSTANCE)), "a key that was withdrawn proves nothing"


class Login:
    """Counts what it is asked, and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.status = 200
        self.lifetime = 600.0

    async def prove(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response({"proof": f"p{len(self.asked)}", "expires_in": self.lifetime}, status=self.status)


@asynccontextmanager
async def own_proof(login: Login) -> AsyncIterator[OwnProof]:
    app = web.Application()
    app.router.add_post("/v1/instances", login.prove)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ServiceClient(FixedDiscovery({"login": f"127.0.0.1:{runner.addresses[0][1]}"}))
    try:
        yield OwnProof(client, "business", "secret", INSTANCE)
    finally:
        await client.close()
        await runner.cleanup()


async def test_a_proof_is_asked_for_with_the_services_credentials_and_kept_until_it_is_half_over() -> None:
    login = Login()
    async with own_proof(login) as proof:
        assert [await proof(), await proof()] == ["p1", "p1"]
    assert login.asked == [
        {
            "client_id": "business",
            "client_secret": "secret",
            "instance": INSTANCE.id,
            "host": INSTANCE.host,
            "port": INSTANCE.port,
        }
    ]


async def test_a_proof_that_is_half_over_is_renewed() -> None:
    login = Login()
    login.lifetime = 0
    async with own_proof(login) as proof:
        assert [await proof(), await proof()] == ["p1", "p2"]


async def test_while_login_is_away_the_last_proof_serves() -> None:
    login = Login()
    login.lifetime = 0.0
    async with own_proof(login) as proof:
        assert await proof() == "p1"
        login.status = 503
        with pytest.raises(Unavailable):
            await proof()
        login.status, login.lifetime = 200, 600
        assert await proof() == "p3"
