"""Business with a real Redis and a real worker."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from services.business.settings import Settings
from tests.externals import Redis
from tests.integration.services.business.shop import Shop


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
async def shop(redis: Redis, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop without a worker."""
    shop = Shop(tmp_path, redis)
    await shop.open()
    yield shop
    await shop.close()


@pytest.fixture(scope="module")
async def open_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """A shop with a queue, a worker and tables of its own, for the tests of a module that take different orders."""
    folder = tmp_path_factory.mktemp("open-shop")
    shutil.copytree(Settings().rules_dir, folder / "assistants" / "shop" / "rules")
    async with Redis(folder / "redis") as redis:
        shop = Shop(folder, redis, assistant=folder / "assistants" / "shop", relay_seconds=0.2)
        await shop.open()
        await shop.start_worker()
        yield shop
        await shop.close()
