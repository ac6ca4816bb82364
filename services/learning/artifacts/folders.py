"""Folders that appear whole or not at all, also when the power fails, and the digests of their files."""

import hashlib
import os
from pathlib import Path

__all__ = ["digest_of", "publish", "write_alias"]


def digest_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(scratch: Path, folder: Path) -> None:
    """Gives a finished folder its name after all of it is on the disk."""
    for path in scratch.rglob("*"):
        _sync(path)
    _sync(scratch)
    os.replace(scratch, folder)
    _sync(folder.parent)


def write_alias(models: Path, alias: str, version: str) -> None:
    """Points an alias at a version, at once for every reader."""
    fresh = models / f".{alias}.new"
    fresh.write_text(version + "\n", encoding="utf-8")
    _sync(fresh)
    os.replace(fresh, models / alias)
    _sync(models)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
