"""Two installations on one Redis: with names of their own they never meet, with one name the second is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from services.dialogue.conversation.notifier import Wakes
from services.login.limits import Limits, Locked, connect
from services.login.settings import Settings as LoginSettings
from shared.contracts.actions import ActionReference
from shared.errors import ConfigurationError
from shared.queue.installation import claim_prefix
from shared.queue.references import ACTIONS, RESULTS, References
from tests.externals import Redis
from tests.integration.services.business.shop import Shop
from tests.stack import eventually

NAMES = ("one", "two")


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with Redis(tmp_path / "redis") as running:
        yield running


async def test_a_foreign_installation_of_the_same_name_is_refused(redis: Redis) -> None:
    await claim_prefix(redis.url, "zhiyin", "business", "mine")
    await claim_prefix(redis.url, "zhiyin", "business", "mine")
    await claim_prefix(redis.url, "zhiyin", "dialogue", "another database of mine")
    await claim_prefix(redis.url, "shop-2", "business", "theirs")

    with pytest.raises(ConfigurationError, match=r"another installation with the name 'zhiyin'.*ZHIYIN_INSTALLATION"):
        await claim_prefix(redis.url, "zhiyin", "business", "theirs")

    async with RedisClient.from_url(redis.url) as client:
        await client.flushall()
    await claim_prefix(redis.url, "zhiyin", "business", "mine")


async def test_a_redis_that_is_away_is_not_waited_for(redis: Redis) -> None:
    await redis.kill()
    await claim_prefix(redis.url, "zhiyin", "business", "mine")


@pytest.mark.parametrize("queue", [ACTIONS, RESULTS])
async def test_queues_do_not_meet(redis: Redis, queue: str) -> None:
    one, two = (References(redis.url, name, queue) for name in NAMES)
    await one.push(ActionReference(id="a.0", tenant="default"))
    assert await two.pop(0.1) is None
    assert await one.pop(5) == ActionReference(id="a.0", tenant="default")
    await one.close()
    await two.close()


async def test_leases_wakes_and_limits_do_not_meet(redis: Redis) -> None:
    one, two = (Wakes(redis.url, name) for name in NAMES)
    async with one.lease("c1", 5) as first, two.lease("c1", 5) as second:
        assert (first, second) == (True, True)
    await one.close()
    await two.close()

    ours, theirs = (
        Limits(
            connect(redis.url),
            LoginSettings(redis_url=redis.url, installation=name, failures_per_account_and_address=1),
        )
        for name in NAMES
    )
    try:
        await ours.begin("lilei", "203.0.113.7")
        with pytest.raises(Locked):
            await ours.begin("lilei", "203.0.113.7")
        await theirs.begin("lilei", "203.0.113.7")
    finally:
        await ours.close()
        await theirs.close()
    async with RedisClient.from_url(redis.url) as client:
        assert {key.split(b":")[0] async for key in client.scan_iter()} <= {b"one", b"two"}


async def test_workers_do_not_meet(redis: Redis, tmp_path: Path) -> None:
    shops = []
    for name in NAMES:
        (tmp_path / name).mkdir(exist_ok=True)
        # The users are those of one installation; here nothing but the names keeps two apart.
        shops.append(Shop(tmp_path / name, redis, installation=name, redis_url=redis.url))
    one, two = shops
    try:
        for shop in shops:
            await shop.open()
        await asyncio.gather(*(shop.start_worker() for shop in shops))
        requests = [one.action("open_ticket", subject=f"ticket {number}") for number in range(10)]
        for request in requests:
            await one.send(request)

        async def done() -> bool:
            records = [await one.record(request) for request in requests]
            return all(record is not None and record.status == "succeeded" for record in records)

        await eventually(done, what="the actions of the first installation")
        assert await two.metric("zhiyin_worker_actions_total") == 0

        foreign = Shop(tmp_path / "foreign", redis, installation="one", redis_url=redis.url)
        (tmp_path / "foreign").mkdir(exist_ok=True)
        await foreign.open()
        with pytest.raises(Exception, match="before it was ready"):
            await foreign.start_worker()
        assert "another installation with the name 'one'" in foreign.log
        await foreign.close()
    finally:
        for shop in shops:
            await shop.close()
