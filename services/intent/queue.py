"""Texts of many callers become batches: never waiting when a stream is idle, never more than can be answered in time.

A busy model is the window in which a batch gathers. The caller whose deadline comes first is served first, together
with the waiting texts nearest to its in length, up to a budget of tokens with padding.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.intent.metrics import ModelMetrics
from services.intent.model import BATCH_TOKENS, Model
from services.intent.tokenizer import Encoded
from shared.contracts.understanding import Understanding
from shared.errors import DeadlineExceeded, TooManyRequests, Unavailable

__all__ = ["QUEUE_TEXTS", "BatchPolicy", "BatchQueue"]

QUEUE_TEXTS = 512
RETRY_AFTER_SECONDS = 1.0
STOPPING = "the server is stopping"
INLINE_CHARACTERS = 256
"""Up to here, making tokens on the event loop costs less than handing the text to another thread."""


class BatchPolicy(BaseModel):
    """How large a batch may grow, and how many texts may be on their way before callers are told to come back."""

    model_config = ConfigDict(frozen=True)

    batch_tokens: Annotated[int, Field(ge=1)] = BATCH_TOKENS
    queue_texts: Annotated[int, Field(ge=1)] = QUEUE_TEXTS


@dataclass(slots=True, eq=False)
class _Item:
    encoded: Encoded
    deadline: float
    order: int
    arrived: float
    answer: asyncio.Future[Understanding]


class BatchQueue:
    """The one way to a model for everybody who asks; to be used from one event loop."""

    def __init__(self, model: Model, policy: BatchPolicy, *, today: Callable[[], date]) -> None:
        self.model = model
        self._policy = policy
        self._today = today
        self._waiting: list[_Item] = []
        self._admitted = 0
        self._running = 0
        self._closed = False
        self._order = itertools.count()
        self._pool = ThreadPoolExecutor(model.streams, thread_name_prefix=f"model-{model.manifest.name}")
        self._metrics = ModelMetrics(model.manifest.name, model.manifest.version)

    def close(self) -> None:
        """Waits for the batches at work; who still waits for one that was not begun is told to come back."""
        self._closed = True
        for item in self._waiting:
            if not item.answer.done():
                item.answer.set_exception(Unavailable(STOPPING, retry_after=RETRY_AFTER_SECONDS))
        self._waiting.clear()
        self._pool.shutdown()

    async def understand(self, texts: Sequence[str], *, deadline: float) -> list[Understanding]:
        """What each text means, in the order given.

        Args:
            deadline: until when somebody waits for it, by the event loop's clock.

        Raises:
            Unavailable: the server is stopping.
            TooManyRequests: more texts are on their way than can be answered soon.
            DeadlineExceeded: it was not done in time; texts that were not begun are not computed any more.
        """
        self._require_open()
        if self._admitted + len(texts) > self._policy.queue_texts:
            self._metrics.refused("full", len(texts))
            raise TooManyRequests("the model has as much to do as it can take", retry_after=RETRY_AFTER_SECONDS)
        self._admit(len(texts))
        try:
            async with asyncio.timeout_at(deadline):
                return await self._answers(texts, deadline)
        except TimeoutError as error:
            self._metrics.refused("deadline", len(texts))
            raise DeadlineExceeded("the deadline passed before the text was understood") from error
        finally:
            self._admit(-len(texts))

    async def _answers(self, texts: Sequence[str], deadline: float) -> list[Understanding]:
        loop = asyncio.get_running_loop()
        arrived = time.perf_counter()
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            encoded = self.model.encode(texts)
        else:
            encoded = await loop.run_in_executor(self._pool, self.model.encode, texts)
        self._require_open()
        items = [_Item(each, deadline, next(self._order), arrived, loop.create_future()) for each in encoded]
        self._waiting.extend(items)
        self._dispatch()
        # When the caller gives up, this cancels what it waits for, and what is cancelled is never begun.
        return await asyncio.gather(*(item.answer for item in items))

    def _admit(self, texts: int) -> None:
        self._admitted += texts
        self._metrics.admitted(self._admitted)

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable(STOPPING, retry_after=RETRY_AFTER_SECONDS)

    def _dispatch(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed and self._running < self.model.streams and (batch := self._take(loop.time())):
            self._running += 1
            computing = loop.run_in_executor(self._pool, self._compute, batch)
            computing.add_done_callback(partial(self._finish, batch))

    def _take(self, now: float) -> list[_Item]:
        """The next batch; what nobody waits for any more is dropped on the way."""
        live = [item for item in self._waiting if not item.answer.done() and item.deadline > now]
        if not live:
            self._waiting.clear()
            return []
        first = min(live, key=lambda item: (item.deadline, item.order))
        live.sort(key=lambda item: (item is not first, abs(len(item.encoded) - len(first.encoded)), item.order))
        budget = self._budget(live)
        longest, size = len(first.encoded), 1
        while size < len(live):
            longest = max(longest, len(live[size].encoded))
            if self.model.width(longest) * (size + 1) > budget:
                break
            size += 1
        self._waiting = live[size:]
        return live[:size]

    def _budget(self, live: Sequence[_Item]) -> int:
        """Idle streams share what there is: two small batches side by side are done before one large."""
        idle = self.model.streams - self._running
        total = sum(self.model.width(len(item.encoded)) for item in live)
        return min(self._policy.batch_tokens, -(-total // idle))

    def _compute(self, batch: Sequence[_Item]) -> list[Understanding]:
        started = time.perf_counter()
        answers = self.model.understand_batch([item.encoded for item in batch], today=self._today())
        lengths = [len(item.encoded) for item in batch]
        self._metrics.batch(
            waited=[started - item.arrived for item in batch],
            seconds=time.perf_counter() - started,
            tokens=sum(lengths),
            padding=self.model.width(max(lengths)) * len(lengths) - sum(lengths),
        )
        return answers

    def _finish(self, batch: Sequence[_Item], computed: asyncio.Future[list[Understanding]]) -> None:
        self._running -= 1
        error = computed.exception()
        for place, item in enumerate(batch):
            if item.answer.done():
                continue
            if error is None:
                item.answer.set_result(computed.result()[place])
            else:
                item.answer.set_exception(error)
        self._dispatch()
