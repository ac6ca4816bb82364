"""The foreign system as a process that a test starts, kills and starts again."""

import os
import sys
from pathlib import Path
from typing import Any

import aiohttp

from cli.ports import free_ports
from cli.process import Process, Program, wait_until

__all__ = ["Foreign"]

READY_SECONDS = 30.0


class Foreign:
    """A foreign system in a folder."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._command = (sys.executable, "-m", "tests.foreign.system", str(port), str(folder / "foreign.sqlite"))
        self._process: Process | None = None

    async def start(self) -> None:
        """Starts it on what it has done so far."""
        program = Program(
            name="foreign", command=self._command, environment=dict(os.environ), ready=self._answers
        )  # fmt: skip
        self._process = await Process.start(program, self._folder / "foreign.log")
        assert await wait_until(self._answers, READY_SECONDS), (self._folder / "foreign.log").read_text()

    async def kill(self) -> None:
        """As when its machine goes away."""
        if self._process is not None:
            await self._process.kill()
            self._process = None

    async def _answers(self) -> bool:
        try:
            await self._call("GET", "/effects")
        except aiohttp.ClientError:
            return False
        return True

    async def meets(self, *faults: str, keys: bool = True) -> None:
        """What the next calls meet."""
        await self._call("POST", "/faults", {"faults": faults, "keys": keys})

    async def effects(self, key: str) -> int:
        """How often the effect of a key was made."""
        found = await self._call("GET", "/effects")
        return sum(each[0] == key for each in found["effects"])

    async def all(self) -> list[tuple[str, str, str]]:
        """Every effect: key, name and content."""
        found = await self._call("GET", "/effects")
        return [(key, name, content) for key, name, content in found["effects"]]

    async def calls(self) -> int:
        """How many calls it has had."""
        return int((await self._call("GET", "/effects"))["calls"])

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}{path}", json=body) as answer,
        ):
            return await answer.json() if answer.content_type == "application/json" else None
