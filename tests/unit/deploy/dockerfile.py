"""A Dockerfile as stages of instructions, as far as its tests need it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["Copy", "Dockerfile", "Stage"]


@dataclass(frozen=True)
class Copy:
    """A COPY: from the build's context, or `source` names a stage."""

    paths: tuple[str, ...]
    target: str
    source: str | None
    flags: tuple[str, ...]


@dataclass
class Stage:
    """What is between two FROMs."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """The arguments of every instruction of one kind."""
        return [rest for kind, rest in self.instructions if kind == word]

    def copies(self) -> Iterator[Copy]:
        """Its COPYs."""
        for rest in self.all("COPY"):
            words = shlex.split(rest)
            flags = tuple(word for word in words if word.startswith("--"))
            source = next((flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")), None)
            *paths, target = words[len(flags) :]
            yield Copy(tuple(paths), target, source, flags)


@dataclass(frozen=True)
class Dockerfile:
    """Its stages by name, in their order, and the arguments before the first with their defaults."""

    stages: dict[str, Stage]
    arguments: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a Dockerfile whose stages all have names."""
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
        whole = re.sub(r"\\\n", " ", "\n".join(lines))
        stages: dict[str, Stage] = {}
        arguments: dict[str, str] = {}
        for line in filter(str.strip, whole.splitlines()):
            word, rest = line.split(maxsplit=1)
            if word == "FROM":
                base, _, name = rest.split()
                stages[name] = Stage(name, base)
            elif stages:
                next(reversed(stages.values())).instructions.append((word, rest))
            else:
                assert word == "ARG", line
                name, _, default = rest.partition("=")
                arguments[name] = default
        return cls(stages, arguments)

    def ancestry(self, name: str) -> Iterator[Stage]:
        """A stage, the one that it is on, and so on."""
        while name in self.stages:
            yield self.stages[name]
            name = self.stages[name].base
