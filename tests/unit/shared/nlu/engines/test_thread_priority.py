"""Who computes gives way to the event loop, and nobody else does."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.nlu.engines.thread_priority import NICE, give_way


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def started_from_there() -> tuple[int, int]:
    """How nice a thread is after it gave way, and one that it starts then."""
    give_way()
    with ThreadPoolExecutor(1) as pool:
        return niceness(), pool.submit(niceness).result()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux only")
def test_the_thread_and_those_that_it_starts_give_way_and_no_other_does() -> None:
    before = niceness()
    if before >= NICE:
        pytest.skip("the tests themselves are as nice as that")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(started_from_there).result() == (NICE, NICE)
    assert niceness() == before
