"""What is costly to make and always the same, kept between processes and runs, in pytest's cache folder.

A key names all that determines the content, so nothing has to be thrown away by hand.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

__all__ = ["digest_of", "kept"]

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".pytest_cache" / "kept"


def digest_of(*, files: Iterable[Path] = (), packages: Iterable[str] = (), more: Iterable[str] = ()) -> str:
    """A key from the content of files, the versions of packages, and texts."""
    digest = hashlib.sha256()
    for part in [*(each.read_bytes() for each in files), *(version(each).encode() for each in packages)]:
        digest.update(hashlib.sha256(part).digest())
    for text in more:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:32]


def kept(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` has filled, now or in an earlier process; to be read only.

    Two processes may make it at the same time; the first to finish is believed.
    """
    folder = FOLDER / kind / key
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        try:
            make(fresh)
            try:
                os.rename(fresh, folder)
            except OSError:
                assert folder.exists()
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder
