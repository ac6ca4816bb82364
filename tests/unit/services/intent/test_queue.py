import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intent.model import Model
from services.intent.queue import BatchPolicy, BatchQueue
from shared.contracts.understanding import Understanding
from shared.errors import DeadlineExceeded, TooManyRequests, Unavailable
from tests.models import GatedModel

TODAY = date(2026, 11, 22)


@pytest.fixture
def gated(home: Path) -> GatedModel:
    return GatedModel(next((home / "models" / "shop").glob("*/")))


@asynccontextmanager
async def queue_of(model: Model, **policy: int) -> AsyncIterator[BatchQueue]:
    queue = BatchQueue(model, BatchPolicy(**policy), today=lambda: TODAY)
    try:
        yield queue
    finally:
        queue.close()


def soon(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def occupied(queue: BatchQueue, model: GatedModel) -> asyncio.Task[list[Understanding]]:
    """Keeps the only stream busy with one text until the gate opens."""
    task = asyncio.create_task(queue.understand(["busy"], deadline=soon()))
    assert await asyncio.to_thread(model.begun.wait, 10)
    return task


async def test_a_lone_text_begins_at_once(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        task = await occupied(queue, gated)
        gated.gate.set()
        [answer] = await task
    assert answer.text == "busy"


async def test_what_gathers_while_the_model_is_busy_is_one_batch(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        first = await occupied(queue, gated)
        others = [asyncio.create_task(queue.understand([f"text {n}"], deadline=soon())) for n in range(5)]
        await asyncio.sleep(0)
        gated.gate.set()
        answers = await asyncio.gather(first, *others)
    assert [each.text for [each] in answers] == ["busy", *(f"text {n}" for n in range(5))]
    assert len(gated.batches) == 2


async def test_a_batch_keeps_to_its_budget_and_to_texts_of_like_length(gated: GatedModel) -> None:
    async with queue_of(gated, batch_tokens=32) as queue:
        first = await occupied(queue, gated)
        texts = ["hello " * 20, "hi", "hello " * 21, "yo"]
        others = [asyncio.create_task(queue.understand([text.strip()], deadline=soon())) for text in texts]
        await asyncio.sleep(0)
        gated.gate.set()
        await asyncio.gather(first, *others)
    assert [[len(text) > 10 for text in batch] for batch in gated.batches[1:]] == [[True], [False, False], [True]]


async def test_the_nearest_deadline_comes_first(gated: GatedModel) -> None:
    async with queue_of(gated, batch_tokens=1) as queue:
        first = await occupied(queue, gated)
        late = asyncio.create_task(queue.understand(["late"], deadline=soon(30)))
        early = asyncio.create_task(queue.understand(["early"], deadline=soon(20)))
        await asyncio.sleep(0)
        gated.gate.set()
        await asyncio.gather(first, late, early)
    assert gated.batches == [["busy"], ["early"], ["late"]]


async def test_a_deadline_that_passes_is_answered_and_not_computed(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        first = await occupied(queue, gated)
        with pytest.raises(DeadlineExceeded):
            await queue.understand(["too late"], deadline=soon(0.01))
        with pytest.raises(DeadlineExceeded):
            await queue.understand(["long ago"], deadline=soon(-1))
        gated.gate.set()
        await first
    assert gated.batches == [["busy"]]


async def test_who_goes_away_is_not_computed_for(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        first = await occupied(queue, gated)
        gone = asyncio.create_task(queue.understand(["gone"], deadline=soon()))
        stays = asyncio.create_task(queue.understand(["stays"], deadline=soon()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gated.gate.set()
        await asyncio.gather(first, stays)
    assert gated.batches == [["busy"], ["stays"]]


async def test_who_goes_away_during_the_computation_harms_nobody(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        gone = await occupied(queue, gated)
        stays = asyncio.create_task(queue.understand(["stays"], deadline=soon()))
        gone.cancel()
        gated.gate.set()
        [answer] = await stays
    assert answer.text == "stays"


async def test_a_full_queue_says_when_to_come_back(gated: GatedModel) -> None:
    async with queue_of(gated, queue_texts=3) as queue:
        first = await occupied(queue, gated)
        second = asyncio.create_task(queue.understand(["b", "c"], deadline=soon()))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refused:
            await queue.understand(["d"], deadline=soon())
        assert refused.value.headers["Retry-After"] == "1"
        gated.gate.set()
        await asyncio.gather(first, second)
        [answer] = await queue.understand(["d"], deadline=soon())
    assert answer.text == "d"


async def test_an_error_of_the_model_reaches_its_askers_and_no_others(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        gated.failure = RuntimeError("broken")
        gated.gate.set()
        with pytest.raises(RuntimeError, match="broken"):
            await queue.understand(["a", "b"], deadline=soon())
        gated.failure = None
        [answer] = await queue.understand(["c"], deadline=soon())
    assert answer.text == "c"


async def test_a_stop_finishes_what_was_begun_and_sends_the_rest_away(gated: GatedModel) -> None:
    async with queue_of(gated) as queue:
        first = await occupied(queue, gated)
        waiting = asyncio.create_task(queue.understand(["waiting"], deadline=soon()))
        await asyncio.sleep(0)
        gated.gate.set()
        queue.close()
        [answer] = await first
        assert answer.text == "busy"
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await queue.understand(["after"], deadline=soon())
    assert gated.batches == [["busy"]]


async def test_long_texts_are_made_tokens_off_the_event_loop(model: Model) -> None:
    async with queue_of(model) as queue:
        [answer] = await queue.understand(["退款" * 500], deadline=soon())
    assert answer.text == "退款" * 500


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=8), min_size=1, max_size=12))
def test_everybody_gets_the_answers_to_their_own_texts_in_order(model: Model, requests: list[list[str]]) -> None:
    async def ask_all() -> list[list[Understanding]]:
        async with queue_of(model, batch_tokens=64) as queue:
            return await asyncio.gather(*(queue.understand(texts, deadline=soon()) for texts in requests))

    answers = asyncio.run(ask_all())
    assert [[each.text for each in group] for group in answers] == requests
