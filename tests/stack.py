"""The whole of Zhiyin for tests: real processes on free ports, each of which can be killed, stopped and started."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.bootstrap import load_bootstrap
from cli.consul_process import passing
from cli.home import Home
from cli.ports import free_ports
from cli.process import NeverReady, Process, Program, wait_until
from cli.stack import SERVICES, Ports, Stack
from cli.tools import find_consul, find_redis

__all__ = ["PROJECT_HOME", "RunningStack", "eventually"]

PROJECT = Path(__file__).resolve().parent.parent
PROJECT_HOME = Home(PROJECT / ".zhiyin")
READY_SECONDS = 60.0
GRACE_SECONDS = 15.0
UNLIMITED = {
    "ZHIYIN_MESSAGES_PER_MINUTE": "1000000",
    "ZHIYIN_MESSAGES_BURST": "1000000",
    "ZHIYIN_CONVERSATIONS_PER_MINUTE": "1000000",
    "ZHIYIN_STREAMS_AT_ONCE": "100000",
}
"""Tests and benchmarks say in seconds what a person says in an hour."""


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0, *, what: str = "it") -> None:
    """Waits until `condition` holds, and fails the test when it does not before the deadline."""
    assert await wait_until(condition, seconds), f"{what} did not come true within {seconds:g} s"


class RunningStack:
    """Redis, Consul, the services and the worker, below `folder`, with the trained model in the folder `model`.

    `async with` starts everything and stops it in the end. Processes have the names of `cli.stack.SERVICES`, and
    `redis` and `consul`; further dialogue replicas are `dialogue-2`, `dialogue-3` and so on.
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        *,
        environment: Mapping[str, str] | None = None,
        assistant: Path = PROJECT / "assistants" / "shop",
        registry: bool = True,
    ) -> None:
        self.home = Home(folder)
        self.home.prepare()
        models = self.home.models / model.parent.name
        models.mkdir(exist_ok=True)
        (models / model.name).symlink_to(model)
        (models / "production").write_text(f"{model.name}\n", encoding="utf-8")
        names = [each.name for each in fields(Ports)]
        # Measured processes are half as fast, and what they run is measured by the services' own tests.
        unwanted = ("ZHIYIN_", "COVERAGE_")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        self.bootstrap = load_bootstrap(self.home)
        self.stack = Stack(
            home=self.home,
            ports=Ports(**dict(zip(names, free_ports(len(names)), strict=True))),
            redis=find_redis(),
            consul=find_consul(PROJECT_HOME.tools) if registry else None,
            bootstrap=self.bootstrap,
            assistant=assistant,
            ready_seconds=READY_SECONDS,
            environment={**inherited, **UNLIMITED, **(environment or {})},
        )
        self.programs: dict[str, Program] = {
            program.name: program for stage in self.stack.stages() for program in stage
        }
        self._processes: dict[str, Process] = {}

    async def __aenter__(self) -> Self:
        try:
            await self.start_all()
        except BaseException:
            await self.kill_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(self._processes):
            await self._processes[name].stop(GRACE_SECONDS)

    @property
    def url(self) -> str:
        """The first dialogue replica, where customers and the chat page are."""
        return self.url_of("dialogue")

    @property
    def dialogue_urls(self) -> list[str]:
        """Every dialogue replica."""
        return [self.url_of(name) for name in self.programs if name.startswith("dialogue")]

    @property
    def consul_url(self) -> str:
        """Consul's HTTP API."""
        return self.stack.consul_url

    @property
    def redis_url(self) -> str:
        """Redis."""
        return self.stack.redis_url

    def url_of(self, name: str) -> str:
        """Where a process answers over HTTP."""
        return f"http://{self.programs[name].address}"

    def pid(self, name: str) -> int:
        """The process id."""
        return self._processes[name].pid

    def log(self, name: str) -> str:
        """Everything that the process has written."""
        path = self.home.logs / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    async def start_all(self) -> None:
        """Starts everything and waits until all are passing in Consul."""
        self.stack.prepare()
        for stage in self.stack.stages():
            try:
                async with asyncio.TaskGroup() as group:
                    for program in stage:
                        group.create_task(self.start(program.name))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
        await self.until_passing(SERVICES)

    async def kill_all(self) -> None:
        """Ends everything at once."""
        for process in self._processes.values():
            await process.kill()

    async def start(self, name: str, *, extra: Mapping[str, str] | None = None) -> None:
        """Starts a process that does not run, with `extra` variables this time, and waits until it is ready."""
        known = self.programs[name]
        program = Program(
            name=known.name,
            command=known.command,
            environment={**known.environment, **(extra or {})},
            ready=known.ready,
            ready_seconds=known.ready_seconds,
            address=known.address,
        )
        self._processes[name] = await Process.start(program, self.home.logs / f"{name}.log")
        try:
            await self._processes[name].wait_ready()
        except NeverReady as error:
            raise AssertionError("\n".join([str(error), *error.tail])) from None

    async def stop(self, name: str) -> None:
        """Asks a process to stop and waits for it."""
        await self._processes[name].stop(GRACE_SECONDS)

    async def kill(self, name: str) -> None:
        """Ends a process with SIGKILL, as a crash would."""
        await self._processes[name].kill()

    async def restart(self, name: str, *, extra: Mapping[str, str] | None = None) -> None:
        """Stops a process and starts it again."""
        await self.stop(name)
        await self.start(name, extra=extra)

    def send(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to the process itself, as a cluster does."""
        os.kill(self.pid(name), number)

    async def ended(self, name: str, seconds: float = GRACE_SECONDS) -> int:
        """Waits for the end; the exit code."""
        return await asyncio.wait_for(self._processes[name].wait(), seconds)

    def pause(self, name: str) -> None:
        """Stops the clock of a process (SIGSTOP)."""
        self._processes[name].send(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Lets a paused process go on."""
        self._processes[name].send(signal.SIGCONT)

    async def add_dialogue(self, *, extra: Mapping[str, str] | None = None) -> str:
        """Starts another dialogue replica, waits until it is passing in Consul, and answers with its name."""
        number = 1 + sum(name.startswith("dialogue") for name in self.programs)
        name = f"dialogue-{number}"
        (port,) = free_ports(1)
        self.programs[name] = self.stack.service_program("dialogue", name=name, port=port, extra=extra)
        await self.start(name)
        return name

    async def until_passing(self, services: Iterable[str], seconds: float = READY_SECONDS) -> None:
        """Waits until each of the services has a passing instance in Consul."""
        wanted = set(services)
        if self.stack.consul is None:
            return

        async def look() -> bool:
            return await passing(self.stack.registry, wanted) == wanted

        await eventually(look, seconds, what=f"passing in Consul: {', '.join(sorted(wanted))}")
