"""Small real programs for the tests of processes and of their supervisor."""

import os
from collections.abc import Callable

from cli.home import Home
from cli.process import Condition, Program, wait_until

__all__ = ["IGNORES_TERM", "WRITES_AND_WAITS", "shell", "until", "whether"]

WRITES_AND_WAITS = "echo up > $FILE; trap 'echo stopped; exit 0' TERM; while :; do sleep 60 & wait $!; done"


IGNORES_TERM = "trap '' TERM; echo up > $FILE; while :; do sleep 60 & wait $!; done"


def whether(check: Callable[[], bool]) -> Condition:
    async def look() -> bool:
        return check()

    return look


def shell(home: Home, name: str, script: str = WRITES_AND_WAITS, *, seconds: float = 20.0) -> Program:
    file = home.root / f"{name}.up"
    environment = {"PATH": os.environ["PATH"], "FILE": str(file)}
    return Program(
        name=name,
        command=("sh", "-c", script),
        environment=environment,
        ready=whether(file.exists),
        ready_seconds=seconds,
        address="127.0.0.1:1",
    )


async def until(condition: Callable[[], bool]) -> None:
    assert await wait_until(whether(condition), 20.0)
