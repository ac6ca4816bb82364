"""Secrets of connectors by name, as whoever runs the installation keeps them.

A secret is a file `<folder>/<tenant>/<assistant>/<name>`, or else a variable of the environment. A variable's name runs
its parts together, so it is looked for only where no other tenant or assistant could mean the same one.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from shared.assistants.plugins import NotSent

__all__ = ["Secrets"]

PART = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
PLAIN = re.compile(r"[a-z0-9]+")
LONGEST = 16_384


class Secrets:
    """Reads secrets, each again when its file changes: Kubernetes renews them in place."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._read: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def read(self, tenant: str, assistant: str, name: str) -> str:
        """The secret of that name of a tenant's assistant.

        Raises:
            NotSent: there is none, or it cannot be used; the message has its name, never its value.
        """
        if not (PART.fullmatch(tenant) and PART.fullmatch(assistant) and NAME.fullmatch(name)):
            raise NotSent(f"there is no secret of the name {name!r}")
        path = self._folder / tenant / assistant / name
        value = self._from_file(path)
        variable = None
        if PLAIN.fullmatch(tenant) and PLAIN.fullmatch(assistant):
            variable = "ZHIYIN_SECRET_" + re.sub(r"[^A-Z0-9]", "_", f"{tenant}_{assistant}_{name}".upper())
            value = self._environment.get(variable) if value is None else value
        if not value:
            where = f"file {path}" + (f" or variable {variable}" if variable else "")
            raise NotSent(f"the secret '{name}' is missing ({where})")
        if not value.isprintable():
            raise NotSent(f"the secret '{name}' has characters that cannot be printed")
        return value

    def _from_file(self, path: Path) -> str | None:
        """The content of a file that may change, without the line's end that editors leave."""
        try:
            found = path.stat()
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._read.get(path)
            if known is not None and known[0] == mark:
                return known[1]
            with path.open(encoding="utf-8") as file:
                value = file.read(LONGEST).strip()
        except (OSError, UnicodeDecodeError):
            self._read.pop(path, None)
            return None
        self._read[path] = (mark, value)
        return value
