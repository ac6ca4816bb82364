"""Waking and leases over a real Redis that is killed, wiped and started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis.asyncio

from cli.process import wait_until
from services.dialogue.conversation.notifier import Wakes
from tests.externals import Redis

DEADLINE = 15.0


@pytest.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[Redis]:
    async with Redis(tmp_path) as running:
        yield running


@pytest.fixture
async def pair(redis_server: Redis) -> AsyncIterator[tuple[Wakes, Wakes]]:
    """Two replicas that listen."""
    first, second = Wakes(redis_server.url, "zhiyin"), Wakes(redis_server.url, "zhiyin")
    first.start()
    second.start()
    yield first, second
    await first.close()
    await second.close()


async def listening(redis_server: Redis, count: int) -> None:
    async def heard() -> bool:
        client = redis.asyncio.Redis.from_url(redis_server.url)
        try:
            return dict(await client.pubsub_numsub("zhiyin:dialogue:wake")).get(b"zhiyin:dialogue:wake") == count
        except (redis.RedisError, OSError):
            return False
        finally:
            await client.aclose()

    assert await wait_until(heard, DEADLINE)


async def test_a_wake_reaches_this_process_and_the_others_and_nobody_else(
    redis_server: Redis, pair: tuple[Wakes, Wakes]
) -> None:
    first, second = pair
    await listening(redis_server, 2)
    async with first.watching("a") as here, second.watching("a") as there, second.watching("b") as other:
        await first.wake("a")
        await asyncio.wait_for(there.wait(), DEADLINE)
        assert here.is_set()
        assert not other.is_set()


async def test_one_replica_holds_the_lease_until_it_gives_it_back(pair: tuple[Wakes, Wakes]) -> None:
    first, second = pair
    async with first.lease("a", 60) as mine:
        assert mine
        async with second.lease("a", 60) as theirs:
            assert not theirs
        async with second.lease("b", 60) as another:
            assert another
    async with second.lease("a", 60) as theirs:
        assert theirs


async def test_a_lease_that_is_given_back_wakes_those_who_were_refused_it(
    redis_server: Redis, pair: tuple[Wakes, Wakes]
) -> None:
    first, second = pair
    await listening(redis_server, 2)
    async with first.watching("a") as here, second.watching("a") as there:
        async with first.lease("a", 60), second.lease("a", 60) as theirs:
            assert not theirs
            assert not here.is_set()
        await asyncio.wait_for(there.wait(), DEADLINE)
        assert here.is_set()
        async with second.lease("a", 60) as theirs:
            assert theirs, "it was free when they were woken"


@pytest.mark.parametrize("owner", ["nobody", "here", "there"])
async def test_a_lease_that_wakes_does_so_before_the_work_and_when_it_is_refused(
    redis_server: Redis, pair: tuple[Wakes, Wakes], owner: str
) -> None:
    first, second = pair
    await listening(redis_server, 2)
    async with AsyncExitStack() as held, second.watching("a") as there:
        if owner != "nobody":
            await held.enter_async_context((first if owner == "here" else second).lease("a", 60))
        async with first.lease("a", 60, wakes=True) as mine:
            assert mine is (owner == "nobody")
            await asyncio.wait_for(there.wait(), DEADLINE)


async def test_a_lease_whose_work_failed_wakes_nobody(redis_server: Redis, pair: tuple[Wakes, Wakes]) -> None:
    """Those who wait would only fail the same way, again and again."""
    first, second = pair
    await listening(redis_server, 2)
    async with first.watching("a") as here, second.watching("a") as there, second.watching("b") as other:
        with pytest.raises(RuntimeError):
            async with first.lease("a", 60):
                raise RuntimeError("anything")
        await first.wake("b")
        await asyncio.wait_for(other.wait(), DEADLINE)
        assert not here.is_set()
        assert not there.is_set()


async def test_a_lease_lasts_as_long_as_its_owner_and_not_much_longer(
    redis_server: Redis, pair: tuple[Wakes, Wakes]
) -> None:
    first, second = pair
    client = redis.asyncio.Redis.from_url(redis_server.url)
    async with first.lease("a", 6):
        await client.pexpire("zhiyin:dialogue:lease:a", 4000)

        async def renewed() -> bool:
            return int(await client.pttl("zhiyin:dialogue:lease:a")) > 4000

        assert await wait_until(renewed, DEADLINE)
        async with second.lease("a", 60) as theirs:
            assert not theirs
    await client.set("zhiyin:dialogue:lease:b", "somebody who was killed", px=100)

    async def free() -> bool:
        async with second.lease("b", 60) as mine:
            return mine

    assert await wait_until(free, DEADLINE)
    await client.aclose()


async def test_a_late_owner_does_not_give_back_somebody_elses_lease(
    redis_server: Redis, pair: tuple[Wakes, Wakes]
) -> None:
    first, second = pair
    client = redis.asyncio.Redis.from_url(redis_server.url)
    async with first.lease("a", 60):
        await client.flushall()  # the first one's lease is gone, as if it had run out
        async with second.lease("a", 60) as theirs:
            assert theirs
            async with first.lease("a", 60) as again:
                assert not again
        # The second gave its own back; whatever the first does at its end touches nothing.
    await client.aclose()


async def test_without_redis_everybody_may_work_and_waits_end_soon(
    redis_server: Redis, pair: tuple[Wakes, Wakes]
) -> None:
    first, second = pair
    await listening(redis_server, 2)
    await redis_server.kill()
    async with first.lease("a", 60) as mine, second.lease("a", 60) as theirs:
        assert mine
        assert theirs
        async with first.lease("a", 60) as again:
            assert not again, "one in each process"
    async with first.lease("a", 60) as later:
        assert later
    async with first.watching("a") as event:
        await first.wake("a")
        assert event.is_set(), "waits of the same process need no Redis"
    async with first.watching("a") as event:
        # Nobody wakes it, yet it comes back to look again long before the time it was given.
        assert not await asyncio.wait_for(first.wait(event, 60), DEADLINE)
    first.missed.clear()
    await redis_server.start()
    await listening(redis_server, 2)
    # What was said while nobody listened is asked of the database, once.
    await asyncio.wait_for(first.missed.wait(), DEADLINE)
    async with second.watching("a") as event:
        await first.wake("a")
        await asyncio.wait_for(event.wait(), DEADLINE)


async def test_all_waits_end_when_the_process_stops(pair: tuple[Wakes, Wakes]) -> None:
    first, _ = pair
    async with first.watching("a") as one, first.watching("b") as two:
        first.wake_all()
        assert one.is_set()
        assert two.is_set()


async def test_the_listener_beats_and_notices_a_server_that_is_gone_without_a_word(redis_server: Redis) -> None:
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    wakes = Wakes(redis_server.url, "zhiyin")
    wakes.start(beat)

    async def heard() -> bool:
        return wakes.listening

    assert await wait_until(heard, DEADLINE)
    seen = beats
    with redis_server.frozen():

        async def lost() -> bool:
            return not wakes.listening

        assert await wait_until(lost, 2 * DEADLINE)
        assert beats > seen
        seen = beats

        async def turns() -> bool:
            return beats > seen + 1

        assert await wait_until(turns, 2 * DEADLINE), "also while it cannot connect"
    assert await wait_until(heard, DEADLINE)
    await wakes.close()
