"""Who goes first in the process: the event loop, which has little to do and whom everybody waits for."""

import os
import sys
import threading
from contextlib import suppress

__all__ = ["give_way"]

NICE = 5


def give_way() -> None:
    """Lets the threads that answer requests go before the calling one, and before those that it starts.

    Computing takes every core. Without this, a request that could be refused in a fraction of a millisecond waits for
    a turn as long as a batch's. It is for Linux, where a thread has a priority of its own.

    The step is from the process' priority, as no thread may become less nice than it is. Where the system allows no
    change at all, the thread goes on as it is.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + NICE))
