"""Results are taken off a real queue once they are applied, and not before."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from redis.asyncio import Redis as RedisClient

from services.dialogue.conversation.results import ResultsConsumer
from shared.contracts.actions import ActionResult
from shared.errors import Unavailable
from shared.queue.celery import RESULTS, TRANSPORT_OPTIONS
from tests.externals import Redis
from tests.stack import eventually


def result(action_id: str) -> ActionResult:
    return ActionResult(action_id=action_id, tenant="default", name="refund", conversation_id="c1", status="succeeded")


class Conversations:
    """Where results are applied; each of `troubles` is raised once before."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.tried: list[str] = []
        self.applied: list[str] = []
        self.beats = 0

    async def apply(self, result: ActionResult) -> None:
        self.tried.append(result.action_id)
        if self.troubles:
            raise self.troubles.pop()
        self.applied.append(result.action_id)

    def beat(self) -> None:
        self.beats += 1

    async def until(self, holds: Callable[[], bool]) -> None:
        async def there() -> bool:
            return holds()

        await eventually(there, what=f"the results: tried {self.tried}, applied {self.applied}")


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Redis]:
    async with Redis(tmp_path / "redis") as running:
        yield running


@asynccontextmanager
async def consumed(queue: Redis, conversations: Conversations) -> AsyncIterator[None]:
    consumer = ResultsConsumer(queue.url, conversations.apply, conversations.beat)
    consumer.start()
    try:
        yield
    finally:
        await consumer.stop()


async def tell(queue: Redis, *bodies: Any) -> None:
    def publish() -> None:
        with Connection(queue.url, transport_options=dict(TRANSPORT_OPTIONS)) as connection:
            for body in bodies:
                connection.Producer().publish(body, routing_key=RESULTS, serializer="json")

    await asyncio.to_thread(publish)


async def left(queue: Redis) -> int:
    """Messages that wait in the queue or are taken and not acknowledged."""
    client = RedisClient.from_url(queue.url)
    waiting, taken = await client.llen(RESULTS), await client.hlen("unacked")
    await client.aclose()
    return int(waiting) + int(taken)


async def test_what_is_no_result_does_not_hold_up_those_behind_it(queue: Redis) -> None:
    conversations = Conversations()
    await tell(queue, {"what": "ever"}, None, [1], result("a").model_dump(mode="json"))
    async with consumed(queue, conversations):
        await conversations.until(lambda: conversations.applied == ["a"])
    assert conversations.tried == ["a"]
    assert await left(queue) == 0


@pytest.mark.parametrize("trouble", [Unavailable("the database"), ValueError("a fault")], ids=["away", "fault"])
async def test_a_result_that_could_not_be_applied_comes_again(queue: Redis, trouble: Exception) -> None:
    conversations = Conversations(trouble)
    async with consumed(queue, conversations):
        await tell(queue, result("a").model_dump(mode="json"))
        await conversations.until(lambda: conversations.applied == ["a"])
    assert conversations.tried == ["a", "a"]
    assert await left(queue) == 0


async def test_it_turns_while_the_queue_is_away_and_goes_on_when_it_is_back(queue: Redis) -> None:
    conversations = Conversations()
    async with consumed(queue, conversations):
        await tell(queue, result("a").model_dump(mode="json"))
        await conversations.until(lambda: conversations.applied == ["a"])
        await queue.kill()
        seen = conversations.beats
        await conversations.until(lambda: conversations.beats > seen + 1)
        await queue.start()
        await tell(queue, result("b").model_dump(mode="json"))
        await conversations.until(lambda: conversations.applied == ["a", "b"])
