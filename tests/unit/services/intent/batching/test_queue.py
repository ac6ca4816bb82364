import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intent.batching.queue import BatchQueue
from services.intent.kinds.understanding.served import Question
from services.intent.limits import BatchPolicy
from shared.contracts.understanding import Understanding
from shared.errors import DeadlineExceeded, TooLarge, TooManyRequests, Unavailable
from shared.nlu.answers import Answer, Task
from shared.nlu.engines.runtime import OutOfMemory
from shared.nlu.model import Model
from shared.nlu.tokenizer import Encoded
from tests.models import GatedModel, served

TODAY = date(2026, 11, 22)


@pytest.fixture
def gated(home: Path) -> GatedModel:
    return GatedModel(next((home / "models" / "shop").glob("*/")))


class TextQueue(BatchQueue[Question, Answer]):
    """The queue of a model that understands texts."""

    def __init__(
        self, model: Model, policy: BatchPolicy, today: Callable[[str], date] = lambda _timezone: TODAY
    ) -> None:
        self.texts = served(model, today)
        super().__init__(self.texts, policy)

    async def understand(self, texts: Sequence[str], *, deadline: float, caller: str = "") -> list[Understanding]:
        answers = await self.submit(self.texts.ask(texts), deadline=deadline, caller=caller)
        return [each.understanding for each in answers if each.understanding is not None]


@asynccontextmanager
async def queue_of(model: Model, **policy: int) -> AsyncIterator[TextQueue]:
    queue = TextQueue(model, BatchPolicy(**policy))
    try:
        yield queue
    finally:
        queue.close()


def soon(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def occupied(queue: TextQueue, model: GatedModel) -> asyncio.Task[list[Understanding]]:
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


async def test_a_caller_with_much_to_ask_does_not_keep_others_waiting(gated: GatedModel) -> None:
    async with queue_of(gated, batch_tokens=32) as queue:
        first = await occupied(queue, gated)
        many = [asyncio.create_task(queue.understand(["flood"], deadline=soon(), caller="bulk")) for _ in range(40)]
        await asyncio.sleep(0)
        few = [asyncio.create_task(queue.understand(["hello"], deadline=soon(), caller="live")) for _ in range(6)]
        await asyncio.sleep(0)
        gated.gate.set()
        await asyncio.gather(first, *many, *few)
    taken = [batch.count("hello") for batch in gated.batches[1:]]
    # Half of each batch until there are no more of them, however many the other one has.
    assert taken[:3] == [2, 2, 2]
    assert all(len(batch) == 4 for batch in gated.batches[1:4])


async def test_a_full_queue_makes_room_for_who_has_less_in_it(gated: GatedModel) -> None:
    async with queue_of(gated, queue_texts=4) as queue:
        first = await occupied(queue, gated)
        many = [asyncio.create_task(queue.understand([f"m{n}"], deadline=soon(), caller="bulk")) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await queue.understand(["one more"], deadline=soon(), caller="bulk")
        few = asyncio.create_task(queue.understand(["hello"], deadline=soon(), caller="live"))
        with pytest.raises(TooManyRequests):
            await many[-1]
        gated.gate.set()
        await asyncio.gather(first, *many[:-1], few)
    assert sorted(text for batch in gated.batches[1:] for text in batch) == ["hello", "m0", "m1"]


async def test_equals_do_not_push_each_other_out(gated: GatedModel) -> None:
    async with queue_of(gated, queue_texts=3) as queue:
        first = await occupied(queue, gated)
        one = asyncio.create_task(queue.understand(["one"], deadline=soon(), caller="a"))
        two = asyncio.create_task(queue.understand(["two"], deadline=soon(), caller="b"))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await queue.understand(["three"], deadline=soon(), caller="c")
        gated.gate.set()
        await asyncio.gather(first, one, two)


async def test_texts_that_come_again_are_not_computed_again(gated: GatedModel) -> None:
    gated.gate.set()
    async with queue_of(gated, cache_texts=8) as queue:
        [first] = await queue.understand(["hello"], deadline=soon())
        again = await queue.understand(["hello", "退款", "hello"], deadline=soon())
        embedded = await queue.submit(queue.texts.ask(["hello"], "embed"), deadline=soon())
    assert again[0] == again[2] == first
    assert again[1].text == "退款"
    assert embedded[0].understanding is None
    assert gated.batches == [["hello"], ["退款"], ["hello"]]


async def test_a_text_is_computed_again_on_another_day(gated: GatedModel) -> None:
    gated.gate.set()
    days = [TODAY, date(2026, 11, 23)]
    queue = TextQueue(gated, BatchPolicy(cache_texts=8), lambda _timezone: days[0])
    [before] = await queue.understand(["yesterday"], deadline=soon())
    del days[0]
    [after] = await queue.understand(["yesterday"], deadline=soon())
    queue.close()
    assert [each.entities[0].value for each in (before, after)] == ["2026-11-21", "2026-11-22"]


async def test_texts_of_two_days_never_share_a_batch(gated: GatedModel) -> None:
    days = [TODAY]
    queue = TextQueue(gated, BatchPolicy(), lambda _timezone: days[-1])
    first = await occupied(queue, gated)
    before = asyncio.create_task(queue.understand(["yesterday"], deadline=soon(20)))
    await asyncio.sleep(0)
    days.append(date(2026, 11, 23))
    after = asyncio.create_task(queue.understand(["yesterday"], deadline=soon(20)))
    await asyncio.sleep(0)
    gated.gate.set()
    answers = await asyncio.gather(before, after, first)
    queue.close()
    assert [answer.entities[0].value for [answer] in answers[:2]] == ["2026-11-21", "2026-11-22"]
    assert gated.batches == [["busy"], ["yesterday"], ["yesterday"]]


async def test_long_texts_are_not_remembered(gated: GatedModel) -> None:
    gated.gate.set()
    async with queue_of(gated, cache_texts=8) as queue:
        for _ in range(2):
            await queue.understand(["hello " * 50], deadline=soon())
    assert len(gated.batches) == 2


async def test_the_same_text_of_several_is_computed_once(gated: GatedModel) -> None:
    async with queue_of(gated, cache_texts=8) as queue:
        first = await occupied(queue, gated)
        gone = asyncio.create_task(queue.understand(["hello"], deadline=soon()))
        await asyncio.sleep(0)
        late = asyncio.create_task(queue.understand(["hello"], deadline=soon(0.01)))
        stays = asyncio.create_task(queue.understand(["hello"], deadline=soon()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(DeadlineExceeded):
            await late
        gated.gate.set()
        [answer] = await stays
        await first
    assert answer.text == "hello"
    assert gated.batches == [["busy"], ["hello"]]


async def test_a_text_that_everybody_gave_up_is_computed_for_the_next_caller(gated: GatedModel) -> None:
    async with queue_of(gated, cache_texts=8) as queue:
        first = await occupied(queue, gated)
        gone = asyncio.create_task(queue.understand(["hello"], deadline=soon()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        stays = asyncio.create_task(queue.understand(["hello"], deadline=soon()))
        await asyncio.sleep(0)
        gated.gate.set()
        [answer] = await stays
        await first
    assert answer.text == "hello"


class CrampedModel(GatedModel):
    """Has memory for some tokens only."""

    tokens = 0

    def answer_batch(self, batch: Sequence[Encoded], tasks: Sequence[Task], *, today: date) -> list[Answer]:
        if self.gate.is_set() and sum(map(len, batch)) > self.tokens:
            raise OutOfMemory("too much")
        return super().answer_batch(batch, tasks, today=today)


@pytest.fixture
def cramped(home: Path) -> CrampedModel:
    return CrampedModel(next((home / "models" / "shop").glob("*/")))


async def test_a_text_that_needs_more_memory_than_there_is_harms_no_other(cramped: CrampedModel) -> None:
    cramped.tokens = 16
    async with queue_of(cramped) as queue:
        first = await occupied(queue, cramped)
        giant = asyncio.create_task(queue.understand(["hello " * 25], deadline=soon()))
        small = [asyncio.create_task(queue.understand([text], deadline=soon())) for text in ("hello", "退款")]
        await asyncio.sleep(0)
        cramped.gate.set()
        with pytest.raises(TooLarge):
            await giant
        assert [answer.text for [answer] in await asyncio.gather(*small)] == ["hello", "退款"]
        await first
        [after] = await queue.understand(["where is my parcel"], deadline=soon())
    assert after.intent.name == "track_order"


async def test_a_text_that_is_not_the_largest_may_come_back_when_memory_is_short(cramped: CrampedModel) -> None:
    async with queue_of(cramped) as queue:
        first = await occupied(queue, cramped)
        longer = asyncio.create_task(queue.understand(["hello hello hello"], deadline=soon()))
        shorter = asyncio.create_task(queue.understand(["hello"], deadline=soon()))
        await asyncio.sleep(0)
        cramped.gate.set()
        with pytest.raises(TooLarge):
            await longer
        with pytest.raises(Unavailable) as refused:
            await shorter
        assert refused.value.headers["Retry-After"] == "1"
        await first


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


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=8), min_size=1, max_size=12))
def test_everybody_gets_the_answers_to_their_own_texts_in_order(model: Model, requests: list[list[str]]) -> None:
    async def ask_all() -> list[list[Understanding]]:
        async with queue_of(model, batch_tokens=64) as queue:
            return await asyncio.gather(*(queue.understand(texts, deadline=soon()) for texts in requests))

    answers = asyncio.run(ask_all())
    assert [[each.text for each in group] for group in answers] == requests
