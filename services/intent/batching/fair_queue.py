"""The questions that wait for a model, and which of them are the next batch.

Callers have equal shares: a batch starts with the caller that was given least so far, and the callers' questions take
turns in it. Of a caller's questions the one whose deadline comes first is served first, together with those with the
same batching key that are nearest to it in length, up to a budget of cost with padding. Lengths and costs are in the
unit of the model's kind: tokens, for texts.
"""

import asyncio
import itertools
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Item", "WaitingItems"]

Q = TypeVar("Q")
A = TypeVar("A")

SIZES = (*range(1, 8), *(factor << power for power in range(2, 20) for factor in (2, 3)))
"""How many questions a batch may have: an engine compiles and keeps kernels for each new shape, so there are few."""
SPARE_COST = 8
"""So much of a batch's cost may be padding beyond what each question needs by itself.

To mix lengths more makes larger batches, but costs more than the passes that it saves.
"""


@dataclass(slots=True, eq=False)
class Item(Generic[Q, A]):
    """A question that is to be computed once, and everybody who waits for its answer.

    `deadline` is the first of theirs, `until` the last, by the event loop's clock; `order` grows with the arrival.
    """

    question: Q
    encoded: Any
    batching_key: Hashable
    caller: str
    deadline: float
    until: float
    order: int
    arrived: float
    length: int
    answers: list[asyncio.Future[A]]
    key: Hashable | None = None

    def wanted(self, now: float) -> bool:
        """Whether anybody still waits for it."""
        if self.until <= now:
            return False
        for answer in self.answers:  # noqa: SIM110 - a generator costs three times as much
            if not answer.done():
                return True
        return False

    def fail(self, error: Exception) -> None:
        """Tells everybody who still waits."""
        for answer in self.answers:
            if not answer.done():
                answer.set_exception(error)


class WaitingItems(Generic[Q, A]):
    """Questions that no batch was begun with."""

    def __init__(self, *, width: Callable[[int], int]) -> None:
        """Args:
        width: what each question of a batch costs when its longest has this length.
        """
        self._width = width
        self._items: list[Item[Q, A]] = []
        self._served: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item[Q, A]) -> None:
        """Takes a question in."""
        if item.caller not in self._served:
            # Who was away has no claim on the time that others used meanwhile.
            self._served[item.caller] = min(self._served.values(), default=0)
        self._items.append(item)

    def clear(self) -> list[Item[Q, A]]:
        """Gives up everything that waits."""
        items, self._items = self._items, []
        return items

    def forget(self, caller: str) -> None:
        """A caller has no more questions on their way."""
        self._served.pop(caller, None)

    def newest(self, caller: str, most: int, now: float) -> list[Item[Q, A]]:
        """The questions that a caller asked last, of those that wait."""
        found = (each for each in reversed(self._items) if each.caller == caller and each.wanted(now))
        return list(itertools.islice(found, most))

    def take(self, now: float, *, most: int, idle: int) -> list[Item[Q, A]]:
        """The next batch, without what nobody waits for any more.

        Args:
            most: a batch costs no more, unless it is a single question.
            idle: the streams that could begin a batch now; two small ones side by side are done before one large.
        """
        items = [each for each in self._items if each.wanted(now)]
        if not items:
            self._items = items
            return []
        callers = {each.caller for each in items}
        if len(callers) == 1:
            first = min(items, key=_urgency)
        else:
            caller = min(callers, key=lambda each: (self._served[each], each))
            first = min((each for each in items if each.caller == caller), key=_urgency)
        alike = [each for each in items if each.batching_key == first.batching_key]
        # Stable: of questions of one length those that came first.
        others = sorted((each for each in alike if each is not first), key=lambda each: abs(each.length - first.length))
        if len(callers) > 1:
            others = self._in_turns(others, first.caller)
        batch = self._fill(first, others, min(most, self._share(alike, idle)))
        taken = set(batch)
        self._items = [each for each in items if each not in taken]
        for each in batch:
            self._served[each.caller] += self._width(each.length)
        return batch

    def _share(self, items: Sequence[Item[Q, A]], idle: int) -> int:
        return -(-sum(self._width(each.length) for each in items) // idle)

    def _fill(self, first: Item[Q, A], others: Sequence[Item[Q, A]], budget: int) -> list[Item[Q, A]]:
        batch, widest = [first], self._width(first.length)
        needed = widest
        for each in others:
            own = self._width(each.length)
            padded = max(widest, own) * (len(batch) + 1)
            # What is too short or too long for this batch is better computed with others of its kind.
            if padded <= budget and padded - needed - own <= SPARE_COST:
                batch.append(each)
                widest, needed = max(widest, own), needed + own
        return batch[: SIZES[bisect_right(SIZES, len(batch)) - 1]]

    def _in_turns(self, items: Sequence[Item[Q, A]], begun: str) -> list[Item[Q, A]]:
        """One question of each caller after the other; who has `begun` the batch has had the first turn.

        Within a turn who was given less comes first, or one caller would be in each batch that is too small for all.
        """
        turns: Counter[str] = Counter({begun: 1})
        places = {}
        for each in items:
            places[each] = turns[each.caller], self._served[each.caller]
            turns[each.caller] += 1
        return sorted(items, key=places.__getitem__)


def _urgency(item: Item[Any, Any]) -> tuple[float, int]:
    return item.deadline, item.order
