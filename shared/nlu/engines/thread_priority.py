"""Who goes first in the process: the event loop, which has little to do and whom everybody waits for."""

import os
import sys
import threading

__all__ = ["give_way"]

NICE = 5


def give_way() -> None:
    """Lets the threads that answer requests go before the calling one, and before those that it starts.

    Computing takes every core. Without this, a request that could be refused in a fraction of a millisecond waits for
    a turn as long as a batch's. It is for Linux, where a thread has a priority of its own.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
