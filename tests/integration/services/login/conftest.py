"""Login as a real server with a real Redis."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from tests.calls import Calls
from tests.externals import Redis
from tests.integration.services.login.stage import ADMIN, Stage


@pytest.fixture(scope="session")
async def running_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Redis]:
    async with Redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
async def redis(running_redis: Redis) -> Redis:
    """An empty Redis."""
    client = RedisClient.from_url(running_redis.url)
    await client.flushall()
    await client.aclose()
    return running_redis


@pytest.fixture
async def stage(redis: Redis, tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, redis, stack)


@pytest.fixture
async def login(stage: Stage) -> Calls:
    """Login as it is on a laptop."""
    return await stage.login()


@pytest.fixture
async def admin(login: Calls) -> str:
    """An administrator's access token."""
    token: str = (await login.post("/v1/login", json=ADMIN)).body["access_token"]
    return token
