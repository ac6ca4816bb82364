"""How much one person may ask of dialogue: at one replica, at several, and without Redis."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from services.dialogue.limits import Limits
from services.dialogue.settings import Settings
from shared.errors import TooManyRequests, Unavailable
from shared.http.auth import Principal
from tests.calls import Calls, calling
from tests.customers import Customer
from tests.externals import Redis
from tests.integration.services.dialogue.neighbourhood import Neighbourhood, new_guest
from tests.servers import serve
from tests.stack import eventually

ME = Principal(subject="guest-1", tenant="default")
OFFICE = "203.0.114.7"
PRIVATE = "10.0.0.9"


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with Redis(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
async def replicas(redis: Redis) -> AsyncIterator[Callable[..., Limits]]:
    """Makes the limits of one more replica."""
    async with AsyncExitStack() as stack:

        def another(*, queued: int = 0, **settings: Any) -> Limits:
            limits = Limits(Settings(redis_url=redis.url_of("dialogue"), **settings), queued=lambda: queued)
            stack.push_async_callback(limits.close)
            return limits

        yield another


async def passed(tries: int, ask: Callable[[int], Awaitable[None]]) -> int:
    """How many of so many requests are let through."""
    refusals = []
    for number in range(tries):
        try:
            await ask(number)
        except TooManyRequests as refused:
            refusals.append(refused)
    assert all(each.retry_after and each.retry_after > 0 for each in refusals)
    return tries - len(refusals)


async def test_a_person_has_a_burst_of_their_own(replicas: Callable[..., Limits]) -> None:
    limits = replicas(messages_per_minute=1, messages_burst=6)
    assert await passed(20, lambda _: limits.message(ME, PRIVATE)) == 6
    other = Principal(subject="guest-1", tenant="acme")
    assert await passed(1, lambda _: limits.message(other, PRIVATE)) == 1


async def test_replicas_share_what_is_left(replicas: Callable[..., Limits]) -> None:
    both = [replicas(messages_per_minute=1, messages_burst=20) for _ in range(4)]
    # Each lets half a bucket through by itself, and together they have one bucket for the rest.
    assert await passed(200, lambda number: both[number % 4].message(ME, PRIVATE)) == 4 * 10 + 20


async def test_without_redis_each_replica_counts_for_itself(redis: Redis, replicas: Callable[..., Limits]) -> None:
    both = [replicas(messages_per_minute=1, messages_burst=20) for _ in range(2)]
    await redis.kill()
    assert await passed(100, lambda number: both[number % 2].message(ME, PRIVATE)) == 40


async def test_who_chats_as_people_do_asks_redis_nothing(redis: Redis, replicas: Callable[..., Limits]) -> None:
    limits = replicas(messages_per_minute=1, messages_burst=30)
    client = Client.from_url(redis.url, decode_responses=True)
    assert await passed(15, lambda _: limits.message(ME, PRIVATE)) == 15
    assert await client.keys() == []
    await limits.message(ME, PRIVATE)
    [key] = await client.keys()
    assert str(key).startswith("zhiyin:dialogue:limit:messages:")
    assert await client.pttl(key) > 0
    await client.aclose()


async def test_new_guests_do_not_help_behind_one_address(replicas: Callable[..., Limits]) -> None:
    limits = replicas(messages_per_minute=1, messages_burst=2, conversations_per_minute=2, people_per_address=3)

    def guest(number: int) -> Principal:
        return Principal(subject=f"guest-{number}", tenant="default")

    assert await passed(20, lambda number: limits.message(guest(number), OFFICE)) == 6
    assert await passed(20, lambda number: limits.conversation(guest(number), OFFICE)) == 6
    # A proxy that nobody named, or the machine itself, is not one party.
    assert await passed(20, lambda number: limits.message(guest(100 + number), PRIVATE)) == 20
    assert await passed(20, lambda number: limits.message(guest(200 + number), "unknown")) == 20
    # Everybody has a whole /64 network.
    assert await passed(20, lambda number: limits.message(guest(300 + number), f"2600:1::{number}")) == 6


async def test_when_too_many_wait_new_messages_are_refused_and_told_when_to_come(
    replicas: Callable[..., Limits],
) -> None:
    with pytest.raises(Unavailable) as refused:
        await replicas(queued=7, turns_waiting=7).message(ME, PRIVATE)
    assert refused.value.retry_after
    await replicas(queued=6, turns_waiting=7).message(ME, PRIVATE)


def test_streams_are_counted_while_they_are_open(replicas: Callable[..., Limits]) -> None:
    limits = replicas(streams_at_once=2, people_per_address=2)
    other = [Principal(subject=f"guest-{number}", tenant="default") for number in range(2, 5)]
    with limits.stream(ME, OFFICE), limits.stream(ME, OFFICE):
        with pytest.raises(TooManyRequests):
            limits.stream(ME, PRIVATE).__enter__()
        with limits.stream(other[0], OFFICE), limits.stream(other[1], OFFICE):
            with pytest.raises(TooManyRequests):
                limits.stream(other[2], OFFICE).__enter__()
            with limits.stream(other[2], PRIVATE):
                pass
    with limits.stream(ME, OFFICE), limits.stream(ME, OFFICE):
        pass


@pytest.fixture
async def strict(around: Neighbourhood) -> AsyncIterator[Calls]:
    """A dialogue with small limits."""
    app = around.another(
        messages_per_minute=1, messages_burst=3, conversations_per_minute=2, streams_at_once=2, turns_waiting=100
    )
    async with serve(app) as server, calling(server.base_url) as calls:
        yield calls


async def test_over_http_too_much_is_a_problem_that_says_when_to_come_again(strict: Calls) -> None:
    guest = await new_guest(strict)
    answers = [await guest.post("hello") for _ in range(5)]
    assert [each.status for each in answers] == [200] * 3 + [429] * 2
    for each in answers[3:]:
        assert each.content_type == "application/problem+json"
        assert 0 < int(each.headers["Retry-After"]) <= 60
    assert len([each for each in await guest.events() if each["sender"] == "customer"]) == 3
    opened = [(await strict.post("/v1/conversations", json={}, token=guest.token)).status for _ in range(3)]
    assert opened == [201, 429, 429]


async def test_streams_and_waits_are_limited_together_and_given_back(strict: Calls) -> None:
    guest = await new_guest(strict)
    headers = {"Authorization": f"Bearer {guest.token}"}
    async with strict.session.get(f"{guest.path}/stream", headers=headers) as first:
        async with strict.session.get(f"{guest.path}/stream", headers=headers) as second:
            assert (first.status, second.status) == (200, 200)
            third = await strict.get(f"{guest.path}/stream", token=guest.token)
            assert (third.status, third.content_type) == (429, "application/problem+json")
            assert (await strict.get(f"{guest.path}/events?after=99&wait=1", token=guest.token)).status == 429
            assert (await strict.get(f"{guest.path}/events", token=guest.token)).status == 200
        await eventually(lambda: _may_follow(strict, guest, headers), what="a place after a stream was closed")


async def _may_follow(calls: Calls, guest: Customer, headers: dict[str, str]) -> bool:
    async with calls.session.get(f"{guest.path}/stream", headers=headers) as stream:
        return stream.status == 200
