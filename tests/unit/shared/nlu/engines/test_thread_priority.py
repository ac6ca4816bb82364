"""Who computes gives way to the event loop, and nobody else does."""

import os
import subprocess
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


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux only")

REPORT = """
import os
os.nice({process})
from tests.unit.shared.nlu.engines.test_thread_priority import niceness, started_from_there
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    print(*pool.submit(started_from_there).result(), niceness())
"""


def test_the_thread_and_those_that_it_starts_give_way_and_no_other_does() -> None:
    before = niceness()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(started_from_there).result() == (min(19, before + NICE),) * 2
    assert niceness() == before


@pytest.mark.parametrize("process", [1, NICE + 1, 15, 19])
def test_a_process_that_is_nice_already_may_give_way_too(process: int) -> None:
    before = niceness()
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(process=process)], capture_output=True, text=True, check=True, timeout=60
    )
    nice = min(19, before + process)
    assert done.stdout.split() == [str(min(19, nice + NICE))] * 2 + [str(nice)]
