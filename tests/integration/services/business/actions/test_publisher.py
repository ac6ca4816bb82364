"""Results reach a real queue, also one that was away in between."""

import asyncio
from pathlib import Path

import pytest
from kombu import Connection, Queue

from services.business.actions.publisher import ResultPublisher
from shared.contracts.actions import ActionResult
from shared.queue.celery import RESULTS, TRANSPORT_OPTIONS
from shared.queue.outbox import QUEUE_ERRORS
from tests.externals import Redis


def result(action_id: str) -> ActionResult:
    return ActionResult(
        action_id=action_id,
        tenant="default",
        name="refund",
        conversation_id="c1",
        status="succeeded",
        data={"item": "T恤"},
    )


def take(url: str) -> ActionResult:
    """The first result in the queue, taken off it."""
    with Connection(url, transport_options=dict(TRANSPORT_OPTIONS)) as connection:
        queue = connection.SimpleQueue(Queue(RESULTS))  # type: ignore[arg-type]
        message = queue.get(timeout=10)
        message.ack()
        return ActionResult.model_validate(message.payload)


async def test_a_result_is_read_as_it_was_published(redis: Redis) -> None:
    publisher = ResultPublisher(redis.url)
    try:
        for action_id in ("first", "second"):
            await asyncio.to_thread(publisher.publish, result(action_id))
        assert [await asyncio.to_thread(take, redis.url) for _ in range(2)] == [result("first"), result("second")]
    finally:
        publisher.close()


async def test_a_queue_that_was_away_says_so_and_gets_the_next_result(tmp_path: Path) -> None:
    async with Redis(tmp_path / "redis") as own:
        publisher = ResultPublisher(own.url)
        await asyncio.to_thread(publisher.publish, result("before"))
        await asyncio.to_thread(take, own.url)
        await own.kill()
        with pytest.raises(QUEUE_ERRORS):
            await asyncio.to_thread(publisher.publish, result("meanwhile"))
        await own.start()
        try:
            await asyncio.to_thread(publisher.publish, result("after"))
            assert await asyncio.to_thread(take, own.url) == result("after")
        finally:
            publisher.close()
