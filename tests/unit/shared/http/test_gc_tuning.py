"""Garbage: what a process keeps for good is not looked through again."""

import gc
from collections.abc import Iterator

import pytest

from shared.http.gc_tuning import keep_what_there_is


class Knot:
    """An object that refers to itself, so that only the collector can free it."""

    alive = 0

    def __init__(self) -> None:
        self.myself = self
        type(self).alive += 1

    def __del__(self) -> None:
        type(self).alive -= 1


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_there_is_is_not_looked_through_again() -> None:
    knot = Knot()
    keep_what_there_is()
    assert not any(each is knot for each in gc.get_objects())


def test_what_became_garbage_since_is_freed_by_the_next_call() -> None:
    knot = Knot()
    keep_what_there_is()
    del knot
    gc.collect()
    assert Knot.alive == 1
    keep_what_there_is()
    assert Knot.alive == 0
