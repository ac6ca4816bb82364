"""A service's own tokens, against a login on the loopback."""

import asyncio
from contextlib import nullcontext

import pytest
from aiohttp import web

from shared.calls.circuit_breaker import BreakerPolicy
from shared.calls.client import ServiceClient
from shared.calls.tokens import ServiceTokens
from shared.errors import Unauthenticated, Unavailable
from tests.stack import eventually
from tests.unit.shared.calls.servers import Instances, Serve, answering, fine


async def test_a_service_token_is_asked_for_once_and_sent(serve: Serve) -> None:
    login = await serve(answering(200, {"access_token": "t", "token_type": "Bearer", "expires_in": 3600}))
    shop = await serve(fine)
    plain = ServiceClient(Instances(login.port))
    client = ServiceClient(Instances(shop.port), tokens=ServiceTokens(plain, "me", "secret"))
    await asyncio.gather(*(client.get("shop", "/") for _ in range(5)))
    await client.post("shop", "/open", json={}, authenticated=False)
    assert len(login.requests) == 1
    assert '"client_secret": "secret"' in login.bodies[0]
    assert '"audience": "shop"' in login.bodies[0]
    assert [request.headers.get("Authorization") for request in shop.requests] == ["Bearer t"] * 5 + [None]
    await client.close()
    await plain.close()


async def test_each_service_is_shown_a_token_of_its_own(serve: Serve) -> None:
    async def by_audience(request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response({"access_token": f"for {asked['audience']}", "expires_in": 3600})

    login = await serve(by_audience)
    shop = await serve(fine)
    plain = ServiceClient(Instances(login.port))
    client = ServiceClient(Instances(shop.port), tokens=ServiceTokens(plain, "me", "secret"))
    for service in ("shop", "bank", "shop"):
        await client.get(service, "/")
    assert [each.headers["Authorization"] for each in shop.requests] == [
        "Bearer for shop",
        "Bearer for bank",
        "Bearer for shop",
    ]
    assert len(login.requests) == 2
    await client.close()
    await plain.close()


async def test_while_login_is_away_the_last_token_serves(serve: Serve) -> None:
    answer = {"status": 200}

    async def login_handler(_request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "expires_in": 30.2}, status=answer["status"])

    login = await serve(login_handler)
    plain = ServiceClient(Instances(login.port), breaker=BreakerPolicy(failures=1000))
    short = ServiceTokens(plain, "me", "secret")
    assert await short("shop") == "t"
    answer["status"] = 503

    async def over() -> bool:
        try:
            assert await short("shop") == "t"
        except Unavailable:
            return True
        return False

    # 30 s are the margin, so this token is over after a fifth of a second.
    await eventually(over, what="the end of the token")
    await plain.close()


async def test_credentials_are_good_when_login_has_taken_them_once_or_cannot_be_asked(serve: Serve) -> None:
    answer = {"status": 401}

    async def login_handler(_request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "expires_in": 3600}, status=answer["status"])

    login = await serve(login_handler)
    plain = ServiceClient(Instances(login.port), breaker=BreakerPolicy(failures=1000))
    tokens = ServiceTokens(plain, "me", "secret")
    for answer["status"] in (401, 503, 500, 401):
        with pytest.raises(Unauthenticated) if answer["status"] == 401 else nullcontext():
            await tokens.accepted()
    answer["status"] = 403
    await tokens.accepted()
    asked = len(login.requests)
    answer["status"] = 401
    await tokens.accepted()
    assert len(login.requests) == asked, "login is not asked again"
    await plain.close()


async def test_without_login_there_is_no_token() -> None:
    plain = ServiceClient(Instances())
    with pytest.raises(Unavailable):
        await ServiceTokens(plain, "me", "secret")("shop")
