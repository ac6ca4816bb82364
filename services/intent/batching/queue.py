"""Questions of many callers become batches: never waiting when a stream is idle, never more than can be done in time.

A busy model is the window in which a batch gathers; `fair_queue` says which questions it takes. When the queue is full,
the caller with most in it makes room for those with less; the rest are refused and may retry.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from services.intent.batching.cache import LruCache
from services.intent.batching.fair_queue import Item, WaitingItems
from services.intent.kinds.kind import ServedModel
from services.intent.limits import BatchPolicy
from services.intent.metrics import ModelMetrics
from shared.errors import DeadlineExceeded, TooLarge, TooManyRequests, Unavailable
from shared.nlu.engines.runtime import OutOfMemory
from shared.nlu.engines.thread_priority import give_way

__all__ = ["BatchQueue"]

CALLER = ""
RETRY_AFTER_SECONDS = 1.0
STOPPING = "the server is stopping"
LATE = "the deadline passed before there was an answer"

Q = TypeVar("Q")
A = TypeVar("A")


class BatchQueue(Generic[Q, A]):
    """The one way to a model for everybody who asks; to be used from one event loop."""

    def __init__(self, model: ServedModel[Q, Any, A], policy: BatchPolicy) -> None:
        name = model.manifest.name
        self.model = model
        self._policy = policy
        self._waiting = WaitingItems[Q, A](width=model.width)
        self._admitted = 0
        self._of_caller: Counter[str] = Counter()
        self._running = 0
        self._closed = False
        self._order = itertools.count()
        self._streams = ThreadPoolExecutor(model.streams, thread_name_prefix=f"model-{name}", initializer=give_way)
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix=f"encode-{name}")
        self._metrics = ModelMetrics(name, model.manifest.version)
        self._cache: LruCache[Hashable, A] | None = LruCache(policy.cache_texts) if policy.cache_texts else None
        self._under_way: dict[Hashable, Item[Q, A]] = {}

    @property
    def admitted(self) -> int:
        """How many questions are on their way."""
        return self._admitted

    def close(self) -> None:
        """Waits for the running batches; questions of batches that were not begun are refused and may be sent again."""
        self._closed = True
        for item in self._waiting.clear():
            item.fail(Unavailable(STOPPING, retry_after=RETRY_AFTER_SECONDS))
        self._encoding.shutdown()
        self._streams.shutdown()

    async def submit(self, questions: Sequence[Q], *, deadline: float, caller: str = CALLER) -> list[A]:
        """The answer to each question, in the order given.

        Args:
            deadline: until when somebody waits for it, by the event loop's clock.
            caller: who asks; callers have equal shares of a busy model.

        Raises:
            Unavailable: the server is stopping, or short of memory.
            TooManyRequests: more questions are on their way than can be answered soon.
            TooLarge: a question needs more memory than there is.
            DeadlineExceeded: it was not done in time; questions that were not begun are not computed any more.
        """
        self._require_open()
        if self._cache is None:
            return await self._ask(questions, [None] * len(questions), deadline, caller)
        keys = [self.model.cache_key(each) for each in questions]
        answers = [None if key is None else self._cache.get(key) for key in keys]
        missing = [number for number, answer in enumerate(answers) if answer is None]
        self._metrics.looked_up(hits=len(questions) - len(missing), misses=len(missing))
        if missing:
            asked = [questions[number] for number in missing], [keys[number] for number in missing]
            for number, answer in zip(missing, await self._ask(*asked, deadline, caller), strict=True):
                answers[number] = answer
        return [answer for answer in answers if answer is not None]

    async def _ask(
        self, questions: Sequence[Q], keys: Sequence[Hashable | None], deadline: float, caller: str
    ) -> list[A]:
        loop = asyncio.get_running_loop()
        self._make_room(len(questions), caller, loop.time())
        self._admit(len(questions), caller)
        arrived = time.perf_counter()
        answers: list[asyncio.Future[A]] = [loop.create_future() for _ in questions]
        # One timer costs a tenth of `asyncio.timeout_at`.
        expiry = loop.call_at(deadline, _expire, answers)
        try:
            if self.model.encodes_at_once(questions):
                encoded = self.model.encode(questions)
            else:
                encoded = await self._encode_elsewhere(questions, deadline)
            self._require_open()
            for question, each, key, answer in zip(questions, encoded, keys, answers, strict=True):
                self._enqueue(question, each, key, answer, deadline, caller, arrived)
            self._dispatch()
            return [await answers[0]] if len(answers) == 1 else await asyncio.gather(*answers)
        except DeadlineExceeded:
            self._metrics.refused("deadline", len(questions))
            raise
        finally:
            expiry.cancel()
            # What nobody waits for any more is never begun; and errors beside the first are known.
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()
            self._admit(-len(questions), caller)

    async def _encode_elsewhere(self, questions: Sequence[Q], deadline: float) -> Sequence[Any]:
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._encoding, self.model.encode, questions)
        except TimeoutError as error:
            raise DeadlineExceeded(LATE) from error

    def _enqueue(
        self,
        question: Q,
        encoded: Any,
        key: Hashable | None,
        answer: asyncio.Future[A],
        deadline: float,
        caller: str,
        arrived: float,
    ) -> None:
        same = None if key is None else self._under_way.get(key)
        if same is not None and any(not each.done() for each in same.answers):
            same.answers.append(answer)
            same.deadline, same.until = min(same.deadline, deadline), max(same.until, deadline)
            return
        item = Item(
            question=question,
            encoded=encoded,
            batching_key=self.model.batching_key(question),
            caller=caller,
            deadline=deadline,
            until=deadline,
            order=next(self._order),
            arrived=arrived,
            length=len(encoded),
            answers=[answer],
            key=key,
        )
        if key is not None:
            self._under_way[key] = item
            answer.add_done_callback(lambda _: self._forget(key, item))
        self._waiting.add(item)

    def _forget(self, key: Hashable, item: Item[Q, A]) -> None:
        if self._under_way.get(key) is item and all(each.done() for each in item.answers):
            del self._under_way[key]

    def _make_room(self, questions: int, caller: str, now: float) -> None:
        """A caller that fills the queue gives way to one that has less in it: the longest queue drops.

        (Suter, Lakshman, Stiliadis & Choudhury 1998.)
        """
        if self._admitted + questions <= self._policy.queue_texts:
            return
        greedy, held = self._of_caller.most_common(1)[0] if self._of_caller else (caller, 0)
        if held - questions >= self._of_caller[caller] + questions:
            given_up = self._waiting.newest(greedy, questions, now)
            if len(given_up) == questions:
                for item in given_up:
                    item.fail(_full())
                self._metrics.refused("share", questions)
                return
        self._metrics.refused("full", questions)
        raise _full()

    def _admit(self, questions: int, caller: str) -> None:
        self._admitted += questions
        self._of_caller[caller] += questions
        if not self._of_caller[caller]:
            del self._of_caller[caller]
            self._waiting.forget(caller)
        self._metrics.admitted(self._admitted)

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable(STOPPING, retry_after=RETRY_AFTER_SECONDS)

    def _dispatch(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed and (idle := self.model.streams - self._running) > 0 and len(self._waiting):
            items = self._waiting.take(loop.time(), most=self._policy.batch_tokens, idle=idle)
            if not items:
                return
            self._running += 1
            self._streams.submit(self._run, items, loop)

    def _run(self, items: Sequence[Item[Q, A]], loop: asyncio.AbstractEventLoop) -> None:
        outcomes: Sequence[A | Exception]
        try:
            outcomes = self._compute(items)
        except OutOfMemory:
            outcomes = self._compute_each(items)
        except Exception as error:
            outcomes = [error] * len(items)
        loop.call_soon_threadsafe(self._finish, items, outcomes)

    def _compute(self, items: Sequence[Item[Q, A]]) -> Sequence[A]:
        started = time.perf_counter()
        answers = self.model.answer_batch([item.question for item in items], [item.encoded for item in items])
        tokens = sum(item.length for item in items)
        self._metrics.batch(
            waited=[started - item.arrived for item in items],
            seconds=time.perf_counter() - started,
            tokens=tokens,
            padding=self.model.width(max(item.length for item in items)) * len(items) - tokens,
        )
        return answers

    def _compute_each(self, items: Sequence[Item[Q, A]]) -> list[A | Exception]:
        """One by one what is too much memory at once; only the longest can be called too large."""
        longest = max(item.length for item in items)
        outcomes: list[A | Exception] = []
        for item in items:
            try:
                outcomes += self._compute([item])
            except OutOfMemory:
                self._metrics.refused("memory", 1)
                if item.length == longest:
                    outcomes.append(TooLarge("the request needs more memory than there is"))
                else:
                    outcomes.append(Unavailable("memory is short now", retry_after=RETRY_AFTER_SECONDS))
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def _finish(self, items: Sequence[Item[Q, A]], outcomes: Sequence[A | Exception]) -> None:
        self._running -= 1
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, Exception):
                item.fail(outcome)
                continue
            if self._cache is not None and item.key is not None:
                self._cache.put(item.key, outcome)
            for answer in item.answers:
                if not answer.done():
                    answer.set_result(outcome)
        self._dispatch()


def _full() -> TooManyRequests:
    return TooManyRequests("the model has as much to do as it can take", retry_after=RETRY_AFTER_SECONDS)


def _expire(answers: Sequence[asyncio.Future[Any]]) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(DeadlineExceeded(LATE))
