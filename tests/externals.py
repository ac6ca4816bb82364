"""Real Redis and Consul for tests: on free ports, with data of their own, to be killed and started again.

Redis has the users of the chart as well, so that services run in tests with no more than they get in a cluster.
"""

import json
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from redis.asyncio import Redis as RedisClient

from cli.bootstrap import load_bootstrap
from cli.home import Home
from cli.ports import free_ports
from cli.process import Process, Program, wait_until
from cli.stack import Ports, Stack
from cli.tools import find_consul, find_redis

__all__ = ["REDIS_USERS", "Consul", "Redis", "find_chromium"]

READY_SECONDS = 30.0
STOP_SECONDS = 5.0
REDIS_USERS = Path("deploy/helm/zhiyin/files/redis/users.acl")
INSTALLATION = "zhiyin"
PASSWORD = "password-of-"
TOOLS = Home(Path(__file__).parent.parent / ".zhiyin").tools


def _stack(folder: Path) -> Stack:
    home = Home(folder)
    home.prepare()
    names = [each.name for each in fields(Ports)]
    return Stack(
        home=home,
        ports=Ports(**dict(zip(names, free_ports(len(names)), strict=True))),
        redis=find_redis(),
        consul=find_consul(TOOLS),
        bootstrap=load_bootstrap(home),
        assistant=Path("assistants/shop"),
    )


class _External(ABC):
    """One program of the stack, alone."""

    def __init__(self, folder: Path, name: str) -> None:
        self.stack = _stack(folder)
        self.folder = folder
        self.name = name
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self, *, wipe: bool = False) -> None:
        """Starts it and waits until it answers; `wipe` forgets what it kept."""
        program = self.program()
        data = self.stack.home.data / self.name
        if wipe:
            shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, exist_ok=True)
        self._process = await Process.start(program, self.folder / f"{self.name}.log")
        assert await wait_until(program.ready, READY_SECONDS), (self.folder / f"{self.name}.log").read_text()

    @abstractmethod
    def program(self) -> Program:
        """How it is started."""

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stops its clock: connections are accepted, and nothing is answered."""
        assert self._process is not None
        self._process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send(signal.SIGCONT)

    async def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        if self._process is not None:
            await self._process.kill()
            self._process = None


class Redis(_External):
    """A Redis that logs every write, as the product runs it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "redis")

        self._users = folder / "users.conf"
        rules = REDIS_USERS.read_text(encoding="utf-8").replace("INSTALLATION", INSTALLATION)
        lines = [line.split(" ", 1) for line in rules.splitlines() if not line.startswith("#")]
        users = [f"user {name} on >{PASSWORD}{name} resetchannels {may}\n" for name, may in lines]
        self._users.write_text("".join(users), encoding="utf-8")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        denied = [] if kind or self._process is None else await self.denied()
        await super().__aexit__(kind, error, trace)
        assert denied == [], f"Redis' users asked for what the chart's may not: {denied}"

    @property
    def url(self) -> str:
        """Its address, for whoever may do everything."""
        return self.stack.redis_url

    def url_of(self, user: str) -> str:
        """Its address for a service, which may do what the chart's user of this name may."""
        return f"redis://{user}:{PASSWORD}{user}@127.0.0.1:{self.stack.ports.redis}/0"

    def program(self) -> Program:
        """Redis with the chart's users."""
        program = self.stack.redis_program()
        return replace(program, command=(*program.command, "--include", str(self._users)))

    async def denied(self) -> list[str]:
        """What its users asked for and may not; without the names of connections, which nobody needs."""
        async with RedisClient.from_url(self.url, decode_responses=True) as client:
            entries = await client.acl_log()
        asked = [(each["username"], str(each["object"])) for each in entries if each["reason"] != "auth"]
        return [f"{user}: {what}" for user, what in asked if not what.startswith("client")]


class Consul(_External):
    """A single Consul server with ACLs, as `zhiyin up` runs it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "consul")

    def program(self) -> Program:
        """Consul as on one machine."""
        return self.stack.consul_program()

    @property
    def url(self) -> str:
        """Its address."""
        return self.stack.consul_url

    @property
    def management(self) -> str:
        """The token that may do everything."""
        return self.stack.bootstrap.consul.management

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """Status and answer of a call, with the management token or with another one ("" for none)."""
        headers = {"X-Consul-Token": self.management if token is None else token}
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.request(method, path, json=body, headers=headers if headers["X-Consul-Token"] else {}) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if response.status == 200 and text else text

    async def service_ids(self) -> set[str]:
        """Ids of everything that is registered."""
        _, services = await self.call("GET", "/v1/agent/services")
        return set(services)


def find_chromium() -> str:
    """Debian's Chromium, which `make test` installs where it is missing."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "there is no Chromium; on Debian: apt-get install chromium"
    return found
