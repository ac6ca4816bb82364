"""Texts of many callers become batches: never waiting when a stream is idle, never more than can be answered in time.

A busy model is the window in which a batch gathers; `fair_queue` says which texts it takes. When the queue
is full, who has most in it makes room for those who have less; the rest are refused and may retry.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

from services.intent.batching.cache import CACHED_CHARACTERS, AnswerKey, LruCache
from services.intent.batching.fair_queue import Item, WaitingTexts
from services.intent.limits import BatchPolicy
from services.intent.metrics import ModelMetrics
from shared.contracts.understanding import Understanding
from shared.errors import DeadlineExceeded, TooLarge, TooManyRequests, Unavailable
from shared.nlu.answers import Answer, Task
from shared.nlu.engines.runtime import OutOfMemory
from shared.nlu.engines.thread_priority import give_way
from shared.nlu.model import Model
from shared.nlu.tokenizer import SHORT_CHARACTERS, Encoded

__all__ = ["BatchQueue"]

CALLER = ""
RETRY_AFTER_SECONDS = 1.0
STOPPING = "the server is stopping"
LATE = "the deadline passed before the text was understood"


@dataclass(frozen=True, slots=True)
class _Batch:
    items: Sequence[Item]
    today: date


class BatchQueue:
    """The one way to a model for everybody who asks; to be used from one event loop."""

    def __init__(self, model: Model, policy: BatchPolicy, *, today: Callable[[], date]) -> None:
        name = model.manifest.name
        self.model = model
        self._policy = policy
        self._today = today
        self._waiting = WaitingTexts(width=model.width)
        self._admitted = 0
        self._of_caller: Counter[str] = Counter()
        self._running = 0
        self._closed = False
        self._order = itertools.count()
        self._streams = ThreadPoolExecutor(model.streams, thread_name_prefix=f"model-{name}", initializer=give_way)
        self._tokenising = ThreadPoolExecutor(1, thread_name_prefix=f"tokens-{name}")
        self._metrics = ModelMetrics(name, model.manifest.version)
        self._cache: LruCache[AnswerKey, Answer] | None = LruCache(policy.cache_texts) if policy.cache_texts else None
        self._under_way: dict[AnswerKey, Item] = {}

    @property
    def admitted(self) -> int:
        """How many texts are on their way."""
        return self._admitted

    def close(self) -> None:
        """Waits for the running batches; texts of batches that were not begun are refused and may be sent again."""
        self._closed = True
        for item in self._waiting.clear():
            item.fail(Unavailable(STOPPING, retry_after=RETRY_AFTER_SECONDS))
        self._tokenising.shutdown()
        self._streams.shutdown()

    async def understand(self, texts: Sequence[str], *, deadline: float, caller: str = CALLER) -> list[Understanding]:
        """What each text means, in the order given; arguments and errors as in `submit`."""
        answers = await self.submit(texts, deadline=deadline, caller=caller)
        return [each.understanding for each in answers if each.understanding is not None]

    async def submit(
        self, texts: Sequence[str], *, deadline: float, task: Task = "understand", caller: str = CALLER
    ) -> list[Answer]:
        """What the model says of each text, in the order given.

        Args:
            deadline: until when somebody waits for it, by the event loop's clock.
            caller: who asks; callers have equal shares of a busy model.

        Raises:
            Unavailable: the server is stopping, or short of memory.
            TooManyRequests: more texts are on their way than can be answered soon.
            TooLarge: a text needs more memory than there is.
            DeadlineExceeded: it was not done in time; texts that were not begun are not computed any more.
        """
        self._require_open()
        if self._cache is None:
            return await self._ask(texts, [None] * len(texts), deadline, task, caller)
        today = self._today()
        keys = [AnswerKey(text, task, today) if len(text) <= CACHED_CHARACTERS else None for text in texts]
        answers = [None if key is None else self._cache.get(key) for key in keys]
        missing = [number for number, answer in enumerate(answers) if answer is None]
        self._metrics.looked_up(hits=len(texts) - len(missing), misses=len(missing))
        if missing:
            asked = [texts[number] for number in missing], [keys[number] for number in missing]
            for number, answer in zip(missing, await self._ask(*asked, deadline, task, caller), strict=True):
                answers[number] = answer
        return [answer for answer in answers if answer is not None]

    async def _ask(
        self, texts: Sequence[str], keys: Sequence[AnswerKey | None], deadline: float, task: Task, caller: str
    ) -> list[Answer]:
        loop = asyncio.get_running_loop()
        self._make_room(len(texts), caller, loop.time())
        self._admit(len(texts), caller)
        arrived = time.perf_counter()
        answers: list[asyncio.Future[Answer]] = [loop.create_future() for _ in texts]
        # One timer costs a tenth of `asyncio.timeout_at`.
        expiry = loop.call_at(deadline, _expire, answers)
        try:
            if sum(map(len, texts)) <= SHORT_CHARACTERS:
                encoded = self.model.encode(texts)
            else:
                encoded = await self._encode_elsewhere(texts, deadline)
            self._require_open()
            for each, key, answer in zip(encoded, keys, answers, strict=True):
                self._enqueue(each, key, answer, deadline, task, caller, arrived)
            self._dispatch()
            return [await answers[0]] if len(answers) == 1 else await asyncio.gather(*answers)
        except DeadlineExceeded:
            self._metrics.refused("deadline", len(texts))
            raise
        finally:
            expiry.cancel()
            # What nobody waits for any more is never begun; and errors beside the first are known.
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()
            self._admit(-len(texts), caller)

    async def _encode_elsewhere(self, texts: Sequence[str], deadline: float) -> list[Encoded]:
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._tokenising, self.model.encode, texts)
        except TimeoutError as error:
            raise DeadlineExceeded(LATE) from error

    def _enqueue(
        self,
        encoded: Encoded,
        key: AnswerKey | None,
        answer: asyncio.Future[Answer],
        deadline: float,
        task: Task,
        caller: str,
        arrived: float,
    ) -> None:
        same = None if key is None else self._under_way.get(key)
        if same is not None and any(not each.done() for each in same.answers):
            same.answers.append(answer)
            same.deadline, same.until = min(same.deadline, deadline), max(same.until, deadline)
            return
        item = Item(encoded, task, caller, deadline, deadline, next(self._order), arrived, len(encoded), [answer], key)
        if key is not None:
            self._under_way[key] = item
            answer.add_done_callback(lambda _: self._forget(key, item))
        self._waiting.add(item)

    def _forget(self, key: AnswerKey, item: Item) -> None:
        if self._under_way.get(key) is item and all(each.done() for each in item.answers):
            del self._under_way[key]

    def _make_room(self, texts: int, caller: str, now: float) -> None:
        """A caller that fills the queue gives way to one that has less in it: the longest queue drops.

        (Suter, Lakshman, Stiliadis & Choudhury 1998.)
        """
        if self._admitted + texts <= self._policy.queue_texts:
            return
        greedy, held = self._of_caller.most_common(1)[0] if self._of_caller else (caller, 0)
        if held - texts >= self._of_caller[caller] + texts:
            given_up = self._waiting.newest(greedy, texts, now)
            if len(given_up) == texts:
                for item in given_up:
                    item.fail(_full())
                self._metrics.refused("share", texts)
                return
        self._metrics.refused("full", texts)
        raise _full()

    def _admit(self, texts: int, caller: str) -> None:
        self._admitted += texts
        self._of_caller[caller] += texts
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
            items = self._waiting.take(loop.time(), most_tokens=self._policy.batch_tokens, idle=idle)
            if not items:
                return
            self._running += 1
            self._streams.submit(self._run, _Batch(items, self._today()), loop)

    def _run(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> None:
        outcomes: Sequence[Answer | Exception]
        try:
            outcomes = self._compute(batch.items, batch.today)
        except OutOfMemory:
            outcomes = self._compute_each(batch)
        except Exception as error:
            outcomes = [error] * len(batch.items)
        loop.call_soon_threadsafe(self._finish, batch, outcomes)

    def _compute(self, items: Sequence[Item], today: date) -> list[Answer]:
        started = time.perf_counter()
        answers = self.model.answer_batch([item.encoded for item in items], [item.task for item in items], today=today)
        tokens = sum(item.length for item in items)
        self._metrics.batch(
            waited=[started - item.arrived for item in items],
            seconds=time.perf_counter() - started,
            tokens=tokens,
            padding=self.model.width(max(item.length for item in items)) * len(items) - tokens,
        )
        return answers

    def _compute_each(self, batch: _Batch) -> list[Answer | Exception]:
        """Text by text what is too much memory at once; only the longest can be called too large."""
        longest = max(item.length for item in batch.items)
        outcomes: list[Answer | Exception] = []
        for item in batch.items:
            try:
                outcomes += self._compute([item], batch.today)
            except OutOfMemory:
                self._metrics.refused("memory", 1)
                if item.length == longest:
                    outcomes.append(TooLarge("the text needs more memory than there is"))
                else:
                    outcomes.append(Unavailable("memory is short now", retry_after=RETRY_AFTER_SECONDS))
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def _finish(self, batch: _Batch, outcomes: Sequence[Answer | Exception]) -> None:
        self._running -= 1
        for item, outcome in zip(batch.items, outcomes, strict=True):
            if isinstance(outcome, Exception):
                item.fail(outcome)
                continue
            if self._cache is not None and item.key is not None and item.key.today == batch.today:
                self._cache.put(item.key, outcome)
            for answer in item.answers:
                if not answer.done():
                    answer.set_result(outcome)
        self._dispatch()


def _full() -> TooManyRequests:
    return TooManyRequests("the model has as much to do as it can take", retry_after=RETRY_AFTER_SECONDS)


def _expire(answers: Sequence[asyncio.Future[Answer]]) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(DeadlineExceeded(LATE))
