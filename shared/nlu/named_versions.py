"""Which versions the aliases of a registry name, in a file beside a registry that is a SQLite file.

Whoever changes an alias writes it down here, and the model server reads that: MLflow's tables are its own affair, and
its library would more than double what the server keeps in memory.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["NamedVersion", "read_named", "write_named"]


class NamedVersion(BaseModel):
    """A registered version: its number in the registry, where its files are, and its tags."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    source: str
    tags: dict[str, str]


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    aliases: dict[str, NamedVersion]


def read_named(store: Path, name: str) -> Mapping[str, NamedVersion]:
    """The versions that the aliases of a model name; none where nobody wrote any down.

    Args:
        store: the registry's SQLite file.

    Raises:
        ValueError: what was written cannot be read.
    """
    try:
        return _File.model_validate_json(_path(store, name).read_bytes()).aliases
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise ValueError(f"{_path(store, name)} cannot be read: {type(error).__name__}") from error


def write_named(store: Path, name: str, aliases: Mapping[str, NamedVersion]) -> None:
    """Writes down which versions the aliases of a model name, at once for every reader."""
    path = _path(store, name)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(_File(aliases=dict(aliases)).model_dump_json(indent=1))
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _path(store: Path, name: str) -> Path:
    return store.with_suffix(".aliases") / f"{name}.json"
