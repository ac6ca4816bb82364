"""Which process makes an attempt, and whether it may still be at it."""

import os
import socket
from functools import cache
from pathlib import Path

__all__ = ["may_run", "this_process"]


@cache
def _host() -> str:
    return socket.gethostname()[:64]


def this_process() -> str:
    """The process that asks: its machine, its number, and when it began, because numbers are used again."""
    return f"{_host()}/{os.getpid()}/{_began(os.getpid())}"


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended. The times follow the state, which is the third field of the file.
    return "" if fields[0] == "Z" else fields[19]


def may_run(process: str | None) -> bool:
    """Whether an attempt in that process may be under way: one on another machine may, until its time is over.

    This process makes one attempt at a time, so what it began before has ended.
    """
    if process is None or process == this_process():
        return False
    host, _, rest = process.partition("/")
    pid, _, began = rest.partition("/")
    return host != _host() or not pid.isdigit() or _began(int(pid)) == began
