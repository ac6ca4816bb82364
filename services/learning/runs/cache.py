"""What one user's clones share: trained models and converted encoders, outside of any clone.

An entry appears whole or not at all, is verified by the digest of every file when it is taken, and only its key says
what it is. The cache saves time and is never needed: what goes wrong with it is a warning.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from services.learning.artifacts.folders import digest_of, publish

__all__ = ["KEPT", "UserCache", "key_of", "user_cache", "user_cache_folder"]

log = structlog.get_logger(__name__)

KEPT = 6
"""Models that stay, the most recently used ones. One of the demo's size takes 150 MB."""
ABANDONED_SECONDS = 24 * 3600.0
"""A scratch folder this old belongs to a process that was killed."""
ENTRY, CONTENT = "entry.json", "content"
SCRATCH = ".new-"


class UserCache:
    """Folders by key below `root`; safe for several processes at once."""

    def __init__(self, root: Path, warn: Callable[[str], None] | None = None) -> None:
        """Args:
        warn: receives a sentence for each thing that went wrong; by default it is logged.
        """
        self._root = root
        self._models = root / "models"
        self._warn = warn or (lambda sentence: log.warning("cache", reason=sentence))

    @property
    def encoders(self) -> Path:
        """Where converted encoders are kept."""
        return self._root / "encoders"

    def warn(self, sentence: str) -> None:
        """Reports that something with the cache went wrong."""
        self._warn(sentence)

    def take(self, key: str, parent: Path, name: Callable[[Path], str]) -> Path | None:
        """Copies an entry below `parent` and verifies the copy; None where there is no entry that is whole.

        Args:
            name: the name of the new folder, by the content.
        """
        entry = self._models / key
        if not entry.is_dir():
            return None
        try:
            with tempfile.TemporaryDirectory(dir=parent, prefix=".cached-") as scratch:
                copy = Path(scratch) / CONTENT
                shutil.copytree(entry / CONTENT, copy)
                # The copy is verified and not the source, which may change until it is read.
                if _digests(copy) != json.loads((entry / ENTRY).read_bytes()):
                    self._warn(f"The cached model {entry} is damaged; it is removed and trained again.")
                    self._remove(entry)
                    return None
                folder = parent / name(copy)
                if not folder.exists():
                    publish(copy, folder)
            with suppress(OSError):
                os.utime(entry)
        except (OSError, ValueError) as error:
            self._warn(f"The cached model {entry} cannot be used ({_reason(error)}).")
            return None
        return folder

    def put(self, key: str, folder: Path) -> None:
        """Keeps a copy of a model's folder, and removes what was used the longest ago."""
        entry = self._models / key
        if entry.is_dir():
            return
        try:
            self._models.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._models, prefix=SCRATCH) as scratch:
                fresh = Path(scratch) / "entry"
                shutil.copytree(folder, fresh / CONTENT)
                (fresh / ENTRY).write_text(json.dumps(_digests(fresh / CONTENT), indent=1), encoding="utf-8")
                try:
                    publish(fresh, entry)
                except OSError:
                    # Another process was first, with the same content.
                    if not entry.is_dir():
                        raise
            self._keep_newest()
        except OSError as error:
            self._warn(f"The model was not kept in the cache {self._root} ({_reason(error)}).")

    def _keep_newest(self) -> None:
        now = time.time()
        entries: list[tuple[float, Path]] = []
        for each in self._models.iterdir():
            with suppress(FileNotFoundError):
                used = each.stat().st_mtime
                if not each.name.startswith("."):
                    entries.append((used, each))
                elif now - used > ABANDONED_SECONDS:
                    shutil.rmtree(each, ignore_errors=True)
        for _, oldest in sorted(entries, reverse=True)[KEPT:]:
            self._remove(oldest)

    def _remove(self, entry: Path) -> None:
        """Removes the name in one step, so that no reader finds half an entry."""
        with suppress(OSError), tempfile.TemporaryDirectory(dir=self._models, prefix=SCRATCH) as scratch:
            os.replace(entry, Path(scratch) / "entry")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files}


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def key_of(*parts: object) -> str:
    """The key of what these parts determine; they must be JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def user_cache_folder(environment: Mapping[str, str]) -> Path | None:
    """`ZHIYIN_CACHE`, else `zhiyin` in the user's cache folder (`XDG_CACHE_HOME`, by default `~/.cache`).

    None for a user without a home folder, such as that of a container.
    """
    if chosen := environment.get("ZHIYIN_CACHE"):
        return Path(chosen).absolute()
    # The XDG specification says that a relative path counts as none.
    if (base := environment.get("XDG_CACHE_HOME", "")).startswith("/"):
        return Path(base) / "zhiyin"
    try:
        return Path.home() / ".cache" / "zhiyin"
    except RuntimeError:
        return None


def user_cache(environment: Mapping[str, str], warn: Callable[[str], None] | None = None) -> UserCache | None:
    """The cache of the user whose environment it is, if there is one."""
    folder = user_cache_folder(environment)
    return UserCache(folder, warn) if folder is not None else None
