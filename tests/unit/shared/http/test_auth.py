"""Access tokens are verified locally, and nothing but a good one passes."""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey

from shared.errors import Forbidden, Unauthenticated, Unavailable
from shared.http.auth import CurrentPrincipal, JwksCache, Principal, TokenVerifier, require
from shared.http.revocations import Revocations
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.calls import calling
from tests.servers import serve
from tests.tokens import TokenFactory

FACTORY = TokenFactory(audience="shop")


def nothing() -> Revocations:
    """No session was ended, as far as anybody knows."""

    async def fetch(since: float) -> Mapping[str, Any]:
        raise Unavailable(f"login does not tell what ended since {since}")

    return Revocations(fetch, period=60)


def verifier(factory: TokenFactory = FACTORY) -> TokenVerifier:
    return TokenVerifier(JwksCache(factory.fetch), issuer="zhiyin", audience="shop", revocations=nothing())


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return f"{encoded(header)}.{encoded(claims)}."


async def test_a_token_becomes_the_principal_that_it_speaks_for() -> None:
    token = FACTORY.issue(
        "7", tenant="acme", roles={"agent", "admin"}, scopes={"intent:predict", "business:lookup"}, customer="C1001"
    )
    assert await verifier().verify(token) == Principal(
        subject="7",
        tenant="acme",
        roles=frozenset({"agent", "admin"}),
        scopes=frozenset({"intent:predict", "business:lookup"}),
        customer="C1001",
    )


async def test_a_token_may_be_for_several_services() -> None:
    assert (await verifier().verify(FACTORY.issue("7", aud=["bank", "shop"]))).subject == "7"


async def test_what_a_token_does_not_say_is_nothing() -> None:
    principal = await verifier().verify(FACTORY.issue("7", roles=(), scope=None))
    assert principal == Principal(subject="7", tenant="default")


def without(claim: str) -> str:
    claims: dict[str, Any] = {claim: None}
    return FACTORY.issue(**claims)


DAY = 86_400
"""Tokens are made at collection, and the tests may run long after it."""

CLAIMS = {"iss": "zhiyin", "aud": "shop", "sub": "7", "tenant": "default", "exp": int(time.time()) + DAY}
HEADER = {"alg": "EdDSA", "kid": FACTORY.kid}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "ä.ö.ü",
        "x" * 5000,
        FACTORY.issue(iss="somebody else"),
        FACTORY.issue(aud="somebody else"),
        FACTORY.issue(aud="shops"),
        FACTORY.issue(aud=["bank", "somebody else"]),
        FACTORY.issue(aud=[]),
        FACTORY.issue(aud={"shop": 1}),
        FACTORY.issue(exp=int(time.time()) - 60),
        FACTORY.issue(exp="soon"),
        FACTORY.issue(nbf=int(time.time()) + DAY),
        FACTORY.issue(iat=int(time.time()) + DAY),
        *(without(claim) for claim in ("iss", "aud", "sub", "tenant", "exp")),
        FACTORY.issue(sub=7),
        FACTORY.issue(tenant=["default"]),  # type: ignore[arg-type]
        TokenFactory(audience="shop").issue(),
        unsigned({"alg": "none", "kid": FACTORY.kid}, CLAIMS),
        unsigned(HEADER, CLAIMS),
        unsigned({"alg": "EdDSA"}, CLAIMS),
        unsigned({"alg": "EdDSA", "kid": 7}, CLAIMS),
        unsigned(["EdDSA"], CLAIMS),  # type: ignore[arg-type]
        jws.serialize_compact(
            {"alg": "HS256", "kid": FACTORY.kid},
            json.dumps(CLAIMS),
            OctKey.import_key(FACTORY.jwks()["keys"][0]["x"].encode()),
        ),
    ],
)
async def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier().verify(token)


@pytest.mark.parametrize("tenant", ["*", "Default", "a b", "x" * 64, "-"])
async def test_a_token_of_no_tenant_may_do_nothing(tenant: str) -> None:
    with pytest.raises(Forbidden):
        await verifier().verify(FACTORY.issue(tenant=tenant))


@given(st.text(max_size=300))
async def test_whatever_is_sent_is_refused_and_breaks_nothing(token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier().verify(token)


GOOD = FACTORY.issue()


@given(position=st.integers(0, len(GOOD) - 2), character=st.sampled_from("abcXYZ019-_."))
async def test_no_character_of_a_token_can_be_changed(position: int, character: str) -> None:
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    # The last character of a part carries bits that mean nothing.
    if changed == GOOD or GOOD[position + 1] == ".":
        return
    with pytest.raises(Unauthenticated):
        await verifier().verify(changed)


class Login:
    """Publishes keys, counts how often it is asked, and may be away."""

    def __init__(self) -> None:
        self.factories = [TokenFactory(audience="shop")]
        self.asked = 0
        self.answer: Exception | None = None
        self.moment = time.time()

    async def fetch(self) -> Mapping[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.answer is not None:
            raise self.answer
        return {"keys": [key for factory in self.factories for key in factory.jwks()["keys"]]}

    def verifier(self) -> TokenVerifier:
        cache = JwksCache(self.fetch, clock=lambda: self.moment)
        return TokenVerifier(cache, issuer="zhiyin", audience="shop", revocations=nothing(), clock=lambda: self.moment)


async def test_a_token_ends_when_it_says() -> None:
    login = Login()
    verify = login.verifier().verify
    token = login.factories[0].issue(lifetime=30)
    for seconds in (0, 29):
        login.moment += seconds
        await verify(token)
    login.moment += 10
    with pytest.raises(Unauthenticated):
        await verify(token)


async def test_keys_are_asked_for_once_however_many_verify() -> None:
    login = Login()
    verify = login.verifier().verify
    token = login.factories[0].issue()
    await asyncio.gather(*(verify(token) for _ in range(20)))
    assert login.asked == 1


async def test_a_new_key_is_found_at_once_and_invented_ones_cost_little() -> None:
    login = Login()
    verify = login.verifier().verify
    await verify(login.factories[0].issue())
    login.moment += 3
    login.factories.append(TokenFactory(audience="shop"))
    await verify(login.factories[1].issue())
    assert login.asked == 2
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await verify(TokenFactory(audience="shop").issue())
    assert login.asked == 2


async def test_a_key_that_was_withdrawn_is_forgotten_in_time() -> None:
    login = Login()
    verify = login.verifier().verify
    token = login.factories[0].issue()
    await verify(token)
    unseen = login.factories[0].issue()
    login.factories = [TokenFactory(audience="shop")]
    login.moment += 301
    for each in (token, unseen):
        with pytest.raises(Unauthenticated):
            await verify(each)


@pytest.mark.parametrize("answer", [Unavailable("away"), ValueError("rubbish"), KeyError("keys")])
async def test_the_last_good_keys_serve_while_login_is_away(answer: Exception) -> None:
    login = Login()
    verify = login.verifier().verify
    token = login.factories[0].issue()
    await verify(token)
    login.answer = answer
    for _ in range(2):
        login.moment += 301
        assert (await verify(token)).subject == "account-1"
    assert login.asked == 3


async def test_without_any_keys_the_answer_is_to_come_again_and_login_is_left_alone() -> None:
    login = Login()
    login.answer = Unavailable("away")
    verify = login.verifier().verify
    token = login.factories[0].issue()
    for _ in range(10):
        with pytest.raises(Unavailable) as raised:
            await verify(token)
        assert raised.value.retry_after
    assert login.asked == 1
    login.answer = None
    login.moment += 3
    assert (await verify(token)).subject == "account-1"


router = APIRouter()


@router.get("/who")
async def who(principal: CurrentPrincipal) -> str:
    """Who is asking."""
    return principal.subject


@router.get("/desk")
async def desk(principal: Annotated[Principal, Depends(require(roles={"agent"}, scopes={"desk:read"}))]) -> str:
    """For agents, and services that may read the desk."""
    return principal.subject


async def test_routes_let_in_whom_they_name() -> None:
    app = create_service(
        ServiceSettings(log_level="error"), name="shop", description="", routers=[router], jwks=FACTORY.fetch
    )
    async with serve(app) as server, calling(server.base_url) as service:
        assert (await service.get("/who", token=FACTORY.issue("7"))).body == "7"
        assert (await service.get("/desk", token=FACTORY.issue(roles={"agent"}))).status == 200
        assert (await service.get("/desk", token=FACTORY.issue(roles=(), scopes={"desk:read"}))).status == 200
        refused = await service.get("/desk", token=FACTORY.issue(roles={"customer"}, scopes={"desk:write"}))
        assert refused.status == 403
        assert "role agent" in refused.body["detail"]
        for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}, {"Authorization": "x"}):
            answer = await service.get("/who", headers=headers)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer.content_type == "application/problem+json"


@router.get("/tenant")
async def tenant(principal: CurrentPrincipal) -> str:
    """For which tenant it is asked."""
    return principal.tenant


async def test_a_service_asks_for_the_tenant_of_its_work_and_people_for_their_own() -> None:
    service = FACTORY.issue("service-desk", roles=(), scopes={"shop:read"})
    people = {
        FACTORY.issue("7", roles=roles, scopes=scopes)
        for roles in ({"customer"}, {"agent"}, {"operator", "admin"}, ())
        for scopes in ((), {"shop:read"})
        if roles or not scopes
    }
    app = create_service(
        ServiceSettings(log_level="error"), name="shop", description="", routers=[router], jwks=FACTORY.fetch
    )
    async with serve(app) as server, calling(server.base_url) as calls:

        async def asked(token: str, tenant: str | None) -> tuple[int, Any]:
            headers = {} if tenant is None else {"X-Tenant": tenant}
            answer = await calls.get("/tenant", token=token, headers=headers)
            return answer.status, answer.body if answer.status == 200 else answer.body["type"]

        for own in (None, "default"):
            for token in (service, *people):
                assert await asked(token, own) == (200, "default")
        assert await asked(service, "acme") == (200, "acme")
        for strange in ("*", "", "ACME", "acme ", "a" * 64, "-acme", "acme,default"):
            if strange.strip() != "acme":
                assert await asked(service, strange) == (403, "urn:zhiyin:problem:forbidden"), strange
        for token in people:
            for other in ("acme", "*", ""):
                assert await asked(token, other) == (403, "urn:zhiyin:problem:forbidden"), other
