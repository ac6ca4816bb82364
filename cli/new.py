"""`zhiyin new`: the folder of a small assistant that works, with a system to talk to, to learn from and to build on."""

import re
import shutil
from pathlib import Path

from cli.errors import UsageError
from cli.schemas import write_schemas

__all__ = ["TEMPLATE", "new"]

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
TEMPLATE = Path(__file__).parent / "templates" / "assistant"
PLACE = "__NAME__"
"""Where the template has the assistant's name."""


def new(folder: Path) -> None:
    """Writes the folder of a new assistant that `zhiyin check` has nothing to say against.

    Raises:
        UsageError: the folder is there already, or its name can be none of an assistant.
    """
    name = folder.absolute().name
    if not NAME.fullmatch(name):
        raise UsageError(f"An assistant's name has small letters, digits, - and _, as `shop`, and not {name!r}.")
    if folder.exists():
        raise UsageError(f"{folder} is there already.")
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        if path.is_file() and PLACE in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace(PLACE, name), encoding="utf-8")
    write_schemas(folder)
