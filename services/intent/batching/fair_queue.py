"""The texts that wait for a model, and which of them are the next batch.

Callers have equal shares: a batch starts with the caller that was given the fewest tokens so far, and the callers'
texts take turns in it. Of a caller's texts the one whose deadline comes first is served first, together with those
nearest to it in length, up to a budget of tokens with padding.
"""

import asyncio
import itertools
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.intent.batching.cache import AnswerKey
from shared.nlu.answers import Answer, Task
from shared.nlu.tokenizer import Encoded

__all__ = ["Item", "WaitingTexts"]

SIZES = (*range(1, 8), *(factor << power for power in range(2, 20) for factor in (2, 3)))
"""How many texts a batch may have: an engine compiles and keeps kernels for each new shape, so there must be few."""
SPARE_TOKENS = 8
"""So many tokens of a batch may be padding beyond what each text needs by itself.

To mix lengths more makes larger batches, but costs more than the passes that it saves.
"""


@dataclass(slots=True, eq=False)
class Item:
    """A text that is to be computed once, and everybody who waits for what it means.

    `deadline` is the first of theirs, `until` the last, by the event loop's clock; `order` grows with the arrival.
    """

    encoded: Encoded
    task: Task
    caller: str
    deadline: float
    until: float
    order: int
    arrived: float
    length: int
    answers: list[asyncio.Future[Answer]]
    key: AnswerKey | None = None

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


class WaitingTexts:
    """Texts that no batch was begun with."""

    def __init__(self, *, width: Callable[[int], int]) -> None:
        """Args:
        width: the tokens that each text of a batch costs when its longest has so many.
        """
        self._width = width
        self._items: list[Item] = []
        self._served: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        """Takes a text in."""
        if item.caller not in self._served:
            # Who was away has no claim on the time that others used meanwhile.
            self._served[item.caller] = min(self._served.values(), default=0)
        self._items.append(item)

    def clear(self) -> list[Item]:
        """Gives up everything that waits."""
        items, self._items = self._items, []
        return items

    def forget(self, caller: str) -> None:
        """A caller has no more texts on their way."""
        self._served.pop(caller, None)

    def newest(self, caller: str, most: int, now: float) -> list[Item]:
        """The texts that a caller asked for last, of those that wait."""
        found = (each for each in reversed(self._items) if each.caller == caller and each.wanted(now))
        return list(itertools.islice(found, most))

    def take(self, now: float, *, most_tokens: int, idle: int) -> list[Item]:
        """The next batch, without what nobody waits for any more.

        Args:
            most_tokens: a batch costs no more, unless it is a single text.
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
        # Stable: of texts of one length those that came first.
        others = sorted((each for each in items if each is not first), key=lambda each: abs(each.length - first.length))
        if len(callers) > 1:
            others = _in_turns(others, first.caller)
        batch = self._fill(first, others, min(most_tokens, self._share(items, idle)))
        taken = set(batch)
        self._items = [each for each in items if each not in taken]
        for each in batch:
            self._served[each.caller] += self._width(each.length)
        return batch

    def _share(self, items: Sequence[Item], idle: int) -> int:
        return -(-sum(self._width(each.length) for each in items) // idle)

    def _fill(self, first: Item, others: Sequence[Item], budget: int) -> list[Item]:
        batch, widest = [first], self._width(first.length)
        needed = widest
        for each in others:
            own = self._width(each.length)
            padded = max(widest, own) * (len(batch) + 1)
            # What is too short or too long for this batch is better computed with others of its kind.
            if padded <= budget and padded - needed - own <= SPARE_TOKENS:
                batch.append(each)
                widest, needed = max(widest, own), needed + own
        return batch[: SIZES[bisect_right(SIZES, len(batch)) - 1]]


def _urgency(item: Item) -> tuple[float, int]:
    return item.deadline, item.order


def _in_turns(items: Sequence[Item], begun: str) -> list[Item]:
    """One text of each caller after the other; who has `begun` the batch has had the first turn."""
    turns: Counter[str] = Counter({begun: 1})
    places = {}
    for each in items:
        places[each] = turns[each.caller]
        turns[each.caller] += 1
    return sorted(items, key=places.__getitem__)
