"""Redis away: nobody can guess passwords uncounted, and whoever is in stays in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from tests.calls import Calls
from tests.externals import Redis
from tests.integration.services.login.stage import CLIENT, LILEI, Stage

GUESTS = 10


@pytest.fixture
async def redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Redis]:
    """A Redis of its own, because it is going to be killed."""
    folder: Path = tmp_path_factory.mktemp("redis")
    async with Redis(folder) as redis:
        yield redis


async def test_log_in_fails_closed_and_everything_else_goes_on(stage: Stage, login: Calls) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    await stage.redis.kill()

    for path, body in (
        ("/v1/login", LILEI),
        ("/v1/register", {"username": "somebody", "password": "a fine password"}),
    ):
        answer = await login.post(path, json=body)
        assert answer.status == 503
        assert answer.content_type == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    body = {"current": LILEI["password"], "new": "a fine password"}
    assert (await login.post("/v1/password", json=body, token=pair["access_token"])).status == 503

    assert (await login.get("/health/ready")).status == 200
    assert (await login.get("/.well-known/jwks.json")).status == 200
    assert (await login.get("/v1/me", token=pair["access_token"])).status == 200
    assert (await login.post("/v1/refresh", json={"refresh_token": pair["refresh_token"]})).status == 200
    assert (await login.post("/v1/guest")).status == 200
    assert (await login.post("/v1/token", json=CLIENT)).status == 200

    await stage.redis.start()
    assert (await login.post("/v1/login", json=LILEI)).status == 200


async def test_a_silent_redis_is_not_waited_for_by_every_guest(stage: Stage, login: Calls) -> None:
    async with Client.from_url(stage.redis.url) as client:
        before = (await client.info("stats"))["total_connections_received"]
        with stage.redis.frozen():
            for _ in range(GUESTS):
                assert (await login.post("/v1/guest")).status == 200
        tried = (await client.info("stats"))["total_connections_received"] - before
    assert tried < GUESTS / 2
