"""Which questions are the next batch: equal shares for callers, urgent ones first, little padding, nothing lost."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intent.batching.fair_queue import SPARE_COST, Item, WaitingItems

NOW = 0.0


def width(length: int) -> int:
    """Lengths are padded to fours."""
    return -(-length // 4) * 4


def item(
    order: int,
    length: int = 4,
    *,
    caller: str = "",
    deadline: float = 100.0,
    until: float | None = None,
    batching_key: str = "",
    gone: bool = False,
) -> Item[int, str]:
    """A question that is its own number; `gone` when its caller waits no more."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if gone:
        answer.cancel()
    return Item(
        question=order,
        encoded=None,
        batching_key=batching_key,
        caller=caller,
        deadline=deadline,
        until=deadline if until is None else until,
        order=order,
        arrived=NOW,
        length=length,
        answers=[answer],
    )


def waiting(*items: Item[int, str]) -> WaitingItems[int, str]:
    found = WaitingItems[int, str](width=width)
    for each in items:
        found.add(each)
    return found


def batches(items: WaitingItems[int, str], *, most: int, idle: int = 1) -> list[list[Item[int, str]]]:
    """Every batch until nothing waits."""
    taken = []
    while batch := items.take(NOW, most=most, idle=idle):
        taken.append(batch)
    return taken


def numbers(found: Sequence[Sequence[Item[int, str]]]) -> list[list[int]]:
    return [[each.question for each in batch] for batch in found]


async def test_a_batch_keeps_to_its_budget_and_to_questions_of_like_length() -> None:
    found = batches(waiting(item(0, 22), item(1, 3), item(2, 23), item(3, 4)), most=32)
    assert numbers(found) == [[0], [1, 3], [2]]


async def test_much_padding_is_not_made_however_large_the_budget() -> None:
    # Beside 16 a question of 8 is padded by as much as may be, and one of 4 by more.
    assert SPARE_COST == 8
    items = waiting(item(0, 16), item(1, 4), item(2, 8), item(3, 40))
    assert numbers(batches(items, most=1000)) == [[0, 2], [1], [3]]


async def test_a_question_larger_than_the_budget_is_a_batch_of_its_own() -> None:
    assert numbers(batches(waiting(item(0, 40), item(1, 40)), most=32)) == [[0], [1]]


async def test_the_nearest_deadline_comes_first_and_of_equals_the_first_that_came() -> None:
    items = waiting(item(0, deadline=30), item(1, deadline=20), item(2, deadline=20))
    assert numbers(batches(items, most=4)) == [[1], [2], [0]]


async def test_small_batches_side_by_side_are_begun_when_streams_are_idle() -> None:
    assert numbers(batches(waiting(*map(item, range(8))), most=1000, idle=2))[0] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("questions", "taken"),
    [(1, 1), (7, 7), (8, 8), (11, 8), (12, 12), (15, 12), (16, 16), (23, 16), (31, 24), (32, 32)],
)
async def test_batches_have_few_sizes(questions: int, taken: int) -> None:
    found = waiting(*map(item, range(questions)))
    assert len(found.take(NOW, most=10_000, idle=1)) == taken
    assert len(found) == questions - taken


async def test_who_was_given_less_begins_the_next_batch() -> None:
    many = [item(number, caller="bulk", deadline=5) for number in range(4)]
    few = [item(number, caller="live", deadline=20) for number in (10, 11)]
    order = [number for [number] in numbers(batches(waiting(*many, *few), most=4))]
    assert order == [0, 10, 1, 11, 2, 3]


async def test_who_was_away_has_no_claim_on_the_time_that_others_used() -> None:
    items = waiting(*(item(number, caller="bulk") for number in range(6)))
    for _ in range(3):
        items.take(NOW, most=4, idle=1)
    for number in (10, 11, 12):
        items.add(item(number, caller="late"))
    assert [number for [number] in numbers(batches(items, most=4))] == [3, 10, 4, 11, 5, 12]


async def test_who_comes_back_after_all_was_answered_begins_anew() -> None:
    items = waiting(item(0, 40, caller="a"), item(1, caller="b"), item(2, caller="b"))
    assert numbers([items.take(NOW, most=4, idle=1)]) == [[0]]
    items.forget("a")
    items.add(item(3, caller="a", deadline=1))
    # Without that it would be last, for what it had asked before.
    assert numbers(batches(items, most=4)) == [[3], [1], [2]]


async def test_what_a_caller_asked_last_is_found_without_what_nobody_wants() -> None:
    items = waiting(
        item(0, caller="a"), item(1, caller="a"), item(2, caller="a", gone=True), item(3, caller="b"),
        item(4, caller="a", deadline=NOW),
    )  # fmt: skip
    assert numbers([items.newest("a", 1, NOW), items.newest("a", 9, NOW)]) == [[1], [1, 0]]


async def test_everything_that_waits_can_be_given_up_at_once() -> None:
    items = waiting(item(0), item(1))
    assert numbers([items.clear()]) == [[0, 1]]
    assert (len(items), items.take(NOW, most=9, idle=1)) == (0, [])


QUESTIONS = st.lists(
    st.fixed_dictionaries(
        {
            "length": st.integers(1, 40),
            "caller": st.sampled_from("abc"),
            "deadline": st.integers(-2, 6),
            "until": st.integers(-2, 6),
            "batching_key": st.sampled_from(["today", "yesterday"]),
            "gone": st.sampled_from([False, False, False, True]),
        }
    ),
    max_size=40,
)


@given(questions=QUESTIONS, most=st.integers(1, 200), idle=st.integers(1, 3))
async def test_everything_wanted_is_taken_once_in_batches_that_keep_the_rules(
    questions: list[dict[str, object]], most: int, idle: int
) -> None:
    items = [item(order, **each) for order, each in enumerate(questions)]  # type: ignore[arg-type]
    wanted = {each.question for each in items if each.until > NOW and not each.answers[0].done()}
    left = set(wanted)
    for batch in batches(waiting(*items), most=most, idle=idle):
        taken = {each.question for each in batch}
        assert taken <= left, "nothing twice, and nothing that nobody waits for"
        first = batch[0]
        urgent = min((items[each] for each in left if items[each].caller == first.caller), key=lambda e: e.deadline)
        assert first.deadline == urgent.deadline
        left -= taken
        widest = max(width(each.length) for each in batch)
        assert len(batch) == 1 or widest * len(batch) <= most
        assert sum(widest - width(each.length) for each in batch) <= SPARE_COST
        assert len({each.batching_key for each in batch}) == 1
    assert left == set(), "nothing is lost"


@given(callers=st.lists(st.sampled_from("abc"), min_size=1, max_size=40), most=st.integers(4, 100))
async def test_callers_have_equal_shares_whatever_the_order_they_asked_in(callers: list[str], most: int) -> None:
    left = Counter(callers)
    given_so_far = Counter[str]()
    for batch in batches(waiting(*(item(order, caller=each) for order, each in enumerate(callers))), most=most):
        shares = Counter(each.caller for each in batch)
        left -= shares
        given_so_far += shares
        # Of those who still have questions waiting nobody is more than a turn ahead, in this batch and in all.
        for counts in (shares, given_so_far):
            found = [counts[caller] for caller in left]
            assert max(found, default=0) - min(found, default=0) <= 1
