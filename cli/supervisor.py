"""Runs the programs of one machine: in order, watched, restarted with back-off, stopped in reverse."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from cli.errors import CommandError
from cli.home import Home
from cli.process import NeverReady, Process, Program, describe_end

__all__ = ["Happening", "RestartPolicy", "Supervisor"]

GRACE_SECONDS = 15.0
SERVICE_STABLE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something that the person in front of the terminal should see."""

    kind: Literal["starting", "ready", "died", "restarting", "gave_up", "stopping", "stopped", "killed"]
    name: str
    detail: str = ""
    tail: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How a program that died comes back: after a pause that doubles up to a cap, and not for ever.

    The count of failures starts again once a program has run for `stable_seconds`.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    most_failures: int = 6
    look_seconds: float = 5.0
    most_refusals: int = 6
    """A program that is not alive so many looks in a row is ended; a machine that slept needs some patience."""
    stable_seconds: float = SERVICE_STABLE_SECONDS

    def pause(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row."""
        return float(min(self.first_seconds * 2 ** (failures - 1), self.longest_seconds))


@dataclass
class Slot:
    """A program's place in the stack, whichever process fills it now."""

    program: Program
    process: Process | None = None
    restarts: int = 0
    failures: int = 0


class Supervisor:
    """Starts stage after stage, each when the one before it is ready; keeps what it started running."""

    def __init__(
        self,
        stages: Sequence[Sequence[Program]],
        *,
        home: Home,
        report: Callable[[Happening], None],
        policy: RestartPolicy | None = None,
        grace_seconds: float = GRACE_SECONDS,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._stages = [[Slot(program) for program in stage] for stage in stages]
        self._home = home
        self._report = report
        self._policy = policy or RestartPolicy()
        self._grace_seconds = grace_seconds
        self._about = dict(about or {})
        self._started_at = datetime.now(UTC)
        self._stopping = asyncio.Event()
        self._failure: CommandError | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._jobs: list[Process] = []

    async def start(self) -> None:
        """Starts everything.

        Raises:
            NeverReady: a program did not become ready; what was started before it is still running.
            EnvironmentUnfit: a program cannot be started at all.
        """
        for stage in self._stages:
            for slot in stage:
                await self._launch(slot)
            try:
                async with asyncio.TaskGroup() as group:
                    for slot in stage:
                        group.create_task(self._first_ready(slot))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
            self._watchers += [asyncio.create_task(self._watch(slot), name=slot.program.name) for slot in stage]

    async def run(self) -> None:
        """Waits until a stop is asked for.

        Raises:
            CommandError: a program kept dying and was given up.
        """
        await self._stopping.wait()
        if self._failure is not None:
            raise self._failure

    async def run_once(self, program: Program) -> Process:
        """Runs a program that ends by itself, and returns when it has; `stop` and `kill` end it before all others.

        Raises:
            EnvironmentUnfit: it cannot be started at all.
        """
        job = await Process.start(program, self._home.logs / f"{program.name}.log")
        self._jobs.append(job)
        self._write_run()
        await job.wait()
        # Where the wait is cancelled, the job stays in the list, for `stop` to end it.
        self._jobs.remove(job)
        self._write_run()
        return job

    def ask_to_stop(self) -> None:
        """Makes `run` return; safe in a signal handler of the event loop."""
        self._stopping.set()

    async def stop(self) -> None:
        """Stops everything in reverse order, each before the next; kills what does not stop in its grace."""
        self._stopping.set()
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers.clear()
        for job in self._jobs:
            by_itself = await job.stop(self._grace_seconds)
            self._report(Happening(kind="stopped" if by_itself else "killed", name=job.program.name))
        self._jobs.clear()
        for slot in reversed(self._slots()):
            if slot.process is None:
                continue
            if slot.process.running:
                self._say("stopping", slot)
            by_itself = await slot.process.stop(self._grace_seconds)
            self._say("stopped" if by_itself else "killed", slot)
            slot.process = None
            self._write_run()
        self._home.forget_run()

    async def kill(self) -> None:
        """Ends everything at once, for someone who will not wait."""
        for job in self._jobs:
            await job.kill()
        self._jobs.clear()
        for slot in reversed(self._slots()):
            if slot.process is not None and slot.process.running:
                await slot.process.kill()
        self._home.forget_run()

    def _slots(self) -> list[Slot]:
        return [slot for stage in self._stages for slot in stage]

    async def _launch(self, slot: Slot) -> None:
        self._say("starting", slot)
        slot.process = await Process.start(slot.program, self._home.logs / f"{slot.program.name}.log")
        self._write_run()

    async def _first_ready(self, slot: Slot) -> None:
        assert slot.process is not None
        await slot.process.wait_ready()
        self._say("ready", slot)

    async def _watch(self, slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        while True:
            assert slot.process is not None
            ready_at = loop.time()
            reason = await self._end_of(slot.process)
            if loop.time() - ready_at >= self._policy.stable_seconds:
                slot.failures = 0
            await self._come_back(slot, reason)

    async def _end_of(self, process: Process) -> str:
        """Why a process is to be replaced: it has ended, or it said too often that it does not work and was ended."""
        if process.program.live is None:
            return describe_end(await process.wait())
        ended = asyncio.create_task(process.wait())
        refusals = 0
        try:
            while True:
                await asyncio.wait({ended}, timeout=self._policy.look_seconds)
                if ended.done():
                    return describe_end(ended.result())
                refusals = 0 if await process.program.live() else refusals + 1
                if refusals >= self._policy.most_refusals and process.running:
                    await process.kill()
                    return f"did not work any more ({refusals} looks in a row)"
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _come_back(self, slot: Slot, reason: str) -> None:
        """Returns when the program is ready again; tries as often as the policy says."""
        while True:
            assert slot.process is not None
            slot.failures += 1
            self._say("died", slot, reason, slot.process.tail())
            if slot.failures >= self._policy.most_failures:
                await self._give_up(slot)
            pause = self._policy.pause(slot.failures)
            self._say("restarting", slot, f"in {pause:g} s")
            await asyncio.sleep(pause)
            slot.restarts += 1
            try:
                await self._launch(slot)
                await slot.process.wait_ready()
            except NeverReady as error:
                await slot.process.kill()
                reason = str(error)
            except CommandError as error:
                reason = str(error)
            else:
                self._say("ready", slot)
                return

    async def _give_up(self, slot: Slot) -> None:
        assert slot.process is not None
        message = f"{slot.program.name} ended {slot.failures} times in a row; its log is {slot.process.log}."
        self._say("gave_up", slot, message)
        self._failure = NeverReady(message, slot.process.tail())
        self._stopping.set()
        await asyncio.Event().wait()

    def _say(self, kind: Any, slot: Slot, detail: str = "", tail: Sequence[str] = ()) -> None:
        self._report(Happening(kind=kind, name=slot.program.name, detail=detail, tail=tuple(tail)))

    def _write_run(self) -> None:
        processes: dict[str, dict[str, Any]] = {
            job.program.name: {"pid": job.pid, "address": None, "log": str(job.log), "restarts": 0}
            for job in self._jobs
        }
        processes |= {
            slot.program.name: {
                "pid": slot.process.pid,
                "address": slot.program.address,
                "log": str(slot.process.log),
                "restarts": slot.restarts,
            }
            for slot in self._slots()
            if slot.process is not None
        }
        self._home.write_run({**self._about, "started_at": self._started_at.isoformat(), "processes": processes})
