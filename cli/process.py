"""One program as a child process: started in a session of its own, waited for, stopped, never left behind."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cli.errors import CommandError, EnvironmentUnfit

__all__ = ["NeverReady", "Process", "Program", "die_with_parent", "wait_until"]

FIRST_LOOK_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 0.25
TAIL_BYTES = 16_384
LOG_BYTES = 20_000_000
"""A log that has grown beyond this is put aside when its program starts; one older log is kept."""
PR_SET_PDEATHSIG = 1

Condition = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is run, and how it is known to be ready. `address` is host:port, `ready_seconds` the deadline.

    `live` says whether it still works: one that runs and does not is ended and started again.

    `results` is the file that standard output goes to, where that is not the log.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    ready: Condition
    live: Condition | None = None
    ready_seconds: float = 60.0
    address: str | None = None
    results: Path | None = None


class NeverReady(CommandError):
    """A program ended, or was not ready before its deadline; carries the last lines of its log."""

    def __init__(self, message: str, tail: list[str]) -> None:
        super().__init__(message)
        self.tail = tail


async def wait_until(condition: Condition, seconds: float) -> bool:
    """Whether `condition` came true before the deadline; looks often at first, then less."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause = FIRST_LOOK_SECONDS
    while True:
        if await condition():
            return True
        left = deadline - loop.time()
        if left <= 0:
            return False
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)


class Process:
    """A running program; its output goes to the end of a log file."""

    def __init__(self, program: Program, child: asyncio.subprocess.Process, log: Path) -> None:
        self.program = program
        self.log = log
        self._child = child
        self._swept = False

    @classmethod
    async def start(cls, program: Program, log: Path) -> "Process":
        """Starts the program; it is not ready yet.

        Raises:
            EnvironmentUnfit: it cannot be started at all.
        """
        try:
            with ExitStack() as files:
                output = files.enter_context(open_log(log))
                results = files.enter_context(program.results.open("wb")) if program.results else output
                child = await asyncio.create_subprocess_exec(
                    *program.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=results,
                    stderr=output,
                    env=dict(program.environment),
                    cwd=program.folder,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
        except OSError as error:
            raise EnvironmentUnfit(
                f"{program.name} cannot be started: {error.strerror} ({program.command[0]})."
            ) from error
        return cls(program, child, log)

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.returncode is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; `None` while it runs."""
        return self._child.returncode

    async def wait(self) -> int:
        """Waits for the end and answers with the exit code; what the program left in its group is ended too."""
        code = await self._child.wait()
        # Once only: long after the end the number may belong to another process group.
        if not self._swept:
            self._swept = True
            self._signal_group(signal.SIGKILL)
        return code

    async def wait_ready(self) -> None:
        """Waits until the program is ready.

        Raises:
            NeverReady: it ended first, or the deadline passed.
        """
        end = asyncio.create_task(self._child.wait())
        ready = asyncio.create_task(wait_until(self.program.ready, self.program.ready_seconds))
        try:
            await asyncio.wait({end, ready}, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                raise NeverReady(f"{self.program.name} {describe_end(end.result())} before it was ready.", self.tail())
            if not ready.result():
                seconds = f"{self.program.ready_seconds:.0f} s"
                raise NeverReady(f"{self.program.name} was not ready within {seconds}.", self.tail())
        finally:
            for task in (end, ready):
                task.cancel()
            await asyncio.gather(end, ready, return_exceptions=True)

    async def stop(self, grace_seconds: float) -> bool:
        """Asks it to stop and waits; whether it did so by itself, without being killed."""
        if self.running:
            with suppress(ProcessLookupError):
                self._child.terminate()
        try:
            async with asyncio.timeout(grace_seconds):
                await self.wait()
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """Ends it and everything in its session's group at once."""
        self.send(signal.SIGKILL)
        await self.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group, such as SIGSTOP and SIGCONT."""
        if self.running:
            self._signal_group(number)

    def tail(self, lines: int = 12) -> list[str]:
        """The last lines of its log."""
        return tail_of(self.log, lines)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def open_log(path: Path) -> BinaryIO:
    """The end of a log file; a log that has grown too long is started again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def tail_of(path: Path, lines: int) -> list[str]:
    """The last lines of a text file that may be long; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]


def describe_end(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def die_with_parent() -> Callable[[], None] | None:
    """What a child does before its program starts, so that it cannot outlive a parent that was killed."""
    if sys.platform != "linux":
        return None
    prctl: Any = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died between the fork and the line above, and then no signal ever comes.
        if os.getppid() != parent:
            os._exit(1)

    return arrange
