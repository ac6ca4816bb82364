"""What can go wrong on the command line, and the exit code that says so to a script.

CommandError                1  the command was carried out and failed
├── UsageError              2  the command makes no sense as it was typed
├── EnvironmentUnfit        3  this machine is missing something: a tool, a free port, disk, a model
└── NotReachable            4  what the command talks to does not answer
"""

from typing import ClassVar

__all__ = ["CommandError", "EnvironmentUnfit", "NotReachable", "UsageError", "why_unreachable"]


class CommandError(Exception):
    """The command failed; the message is the one sentence that its user reads."""

    exit_code: ClassVar[int] = 1


class UsageError(CommandError):
    """The command makes no sense as it was typed."""

    exit_code = 2


class EnvironmentUnfit(CommandError):
    """This machine is missing something that the command needs."""

    exit_code = 3


class NotReachable(CommandError):
    """What the command talks to does not answer."""

    exit_code = 4


def why_unreachable(error: Exception) -> str:
    """What kept a call from being answered, in words."""
    if isinstance(error, TimeoutError):
        return "no answer within the time"
    if isinstance(error, ValueError):
        return "the answer cannot be read"
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ConnectionRefusedError):
        return "nothing listens there"
    status = getattr(error, "status", None)
    if status is not None:
        return f"the answer was HTTP {status}"
    return "the connection failed"
