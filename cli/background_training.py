"""The whole training beside what already serves: niced, watched, and swapped in by intent's rollout."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.text import Text

from cli.console import err
from cli.process import Process, Program, describe_end, wait_until
from cli.stack import Stack
from cli.supervisor import Supervisor

__all__ = ["BackgroundTraining"]

NAME = "training"
CLIENT = "learning"
SWAP_SECONDS = 180.0
ASK_SECONDS = 5.0


@dataclass(frozen=True)
class BackgroundTraining:
    """Trains `stack.assistant` and says in a line when it begins and in another how it ended."""

    stack: Stack

    @property
    def _log(self) -> Path:
        return self.stack.home.logs / f"{NAME}.log"

    def program(self) -> Program:
        """`zhiyin train`, at the lowest priority: customers come first."""

        async def ready() -> bool:
            return True

        return Program(
            name=NAME,
            command=(
                "nice",
                "-n",
                "19",
                sys.executable,
                "-m",
                "cli.main",
                "train",
                str(self.stack.assistant),
                "--json",
            ),
            environment={
                **self.stack.environment,
                "ZHIYIN_HOME": str(self.stack.home.root),
                "PYTHONUNBUFFERED": "1",
            },
            results=self.stack.home.logs / f"{NAME}.json",
            ready=ready,
        )

    async def run(self, supervisor: Supervisor) -> None:
        """Returns when the model serves, or when it is clear that it will not."""
        program = self.program()
        say(
            f"The whole model is being trained in the background ({self._log}). "
            "Chat now; it is swapped in when it is done."
        )
        process = await supervisor.run_once(program)
        if process.exit_code != 0:
            say(
                f"The background training {describe_end(process.exit_code or 0)}; the first model goes on serving. "
                f"Log: {self._log}",
                style="yellow",
                tail=process.tail(4),
            )
            return
        made = _result(process)
        if made["held_back"]:
            say(
                f"The whole model {made['version']} was trained and is not swapped in: {made['held_back']}.",
                style="yellow",
            )
            return
        await self._follow(made["version"])

    async def _follow(self, version: str) -> None:
        """Waits until intent serves or refuses the version."""
        refused: list[str] = []

        async def settled() -> bool:
            for each in await self._models():
                refused.extend(no["reason"] for no in each["refused"] if no["version"] == version)
                if each["version"] == version:
                    return True
            return bool(refused)

        if not await wait_until(settled, SWAP_SECONDS):
            say(f"The whole model {version} was trained, but intent does not serve it yet.", style="yellow")
        elif refused:
            say(f"The whole model {version} was trained, and intent refused it: {refused[0]}.", style="yellow")
        else:
            say(f"The whole model is trained and swapped in: {version}", style="green")

    async def _models(self) -> list[dict[str, Any]]:
        """What intent serves; nothing while it cannot be asked."""
        login, intent = (f"http://{self.stack.address_of(name)}" for name in ("login", "intent"))
        secret = self.stack.bootstrap.client_secret(CLIENT)
        body = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": secret, "audience": "intent"}
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        try:
            async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
                async with session.post(f"{login}/v1/token", json=body) as answer:
                    token = (await answer.json())["access_token"]
                headers = {"Authorization": f"Bearer {token}"}
                async with session.get(f"{intent}/v1/models", headers=headers) as answer:
                    return list((await answer.json())["models"])
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError):
            return []


def say(sentence: str, *, style: str = "", tail: list[str] | None = None) -> None:
    """A line for the person at the terminal."""
    err.print(Text(sentence, style=style), soft_wrap=True)
    for line in tail or ():
        err.print(Text(f"    {line}", style="dim"), soft_wrap=True)


def _result(process: Process) -> dict[str, Any]:
    assert process.program.results is not None
    return dict(json.loads(process.program.results.read_text(encoding="utf-8")))
