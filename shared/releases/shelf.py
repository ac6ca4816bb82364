"""The releases that a service keeps on its disk, so that it can start without learning: unpacked bundles by their
digests, and what was last served.

A folder appears whole or not at all, and is compared with its digest before it is used again. Several replicas on one
machine may share a shelf.
"""

import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from secrets import token_hex

from pydantic import ValidationError

from shared.assistants.bundle import BundleError, digest_of, pack, unpack
from shared.contracts.base import Contract
from shared.contracts.releases import Release, ReleaseAlias
from shared.errors import ZhiyinError

__all__ = ["Remembered", "Shelf", "WrongDigest"]

REMEMBERED = "served.json"
SWEPT_SECONDS = 60.0
"""What nobody needs is left for so long: another replica may know better."""
LEFT_BEHIND_SECONDS = 600.0
"""What a process that was killed had half written is older than this."""


class WrongDigest(ZhiyinError):
    """The bytes that came are not those that were asked for."""


class Remembered(Contract):
    """What was served last, and which other releases are still there for what began with them."""

    aliases: tuple[ReleaseAlias, ...] = ()
    kept: tuple[Release, ...] = ()


class Shelf:
    """A folder on this machine with the releases of one service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, digest: str) -> Path:
        """Where the bundle of this digest is, or would be."""
        return self.folder / digest

    def sound(self, digest: str) -> Path | None:
        """The folder of this digest, if it is there and as it was packed."""
        folder = self.place(digest)
        try:
            if not folder.is_dir() or digest_of(pack(folder)) != digest:
                return None
            os.utime(folder)
        except (BundleError, OSError):
            return None
        return folder

    def put(self, digest: str, data: bytes) -> Path:
        """Unpacks a bundle to its folder, in the place of what is there and is not sound.

        Raises:
            WrongDigest: it is another bundle.
            BundleError: it is none.
            OSError: the disk is full, or cannot be written.
        """
        if digest_of(data) != digest:
            raise WrongDigest(f"what came for the bundle {digest[:12]} has another digest: {digest_of(data)[:12]}")
        folder = self.place(digest)
        fresh = self.folder / f".{digest}.{token_hex(8)}"
        unpack(data, fresh)
        try:
            # Another replica may have been faster, and may be reading what it has put there.
            if self.sound(digest) is None:
                if folder.exists():
                    folder.rename(self.folder / f".{digest}.{token_hex(8)}")
                fresh.rename(folder)
        except OSError:
            if self.sound(digest) is None:
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return folder

    def sweep(self, keep: Collection[str]) -> None:
        """Removes the folders whose digests nobody needs, and what was left half written, once they are old enough."""
        moment = time.time()
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            return
        for entry in entries:
            hidden = entry.name.startswith(".")
            if entry.name in keep or entry.name == REMEMBERED:
                continue
            try:
                age = moment - entry.stat(follow_symlinks=False).st_mtime
                if age < (LEFT_BEHIND_SECONDS if hidden else SWEPT_SECONDS):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)
            except OSError:
                continue

    def remember(self, remembered: Remembered) -> None:
        """Writes down what is served, at once for every reader and for good.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f".{REMEMBERED}.{token_hex(8)}"
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(remembered.model_dump_json(indent=1))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.folder / REMEMBERED)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def recall(self) -> Remembered:
        """What was written down last; nothing where that was never, or cannot be read.

        Raises:
            ValueError: it cannot be read; the next `remember` mends that.
        """
        try:
            return Remembered.model_validate_json((self.folder / REMEMBERED).read_bytes())
        except FileNotFoundError:
            return Remembered()
        except (OSError, ValidationError) as error:
            raise ValueError(f"{self.folder / REMEMBERED} cannot be read: {type(error).__name__}") from error

    def written(self) -> int:
        """A mark that changes when something else is remembered; 0 where nothing is."""
        try:
            return (self.folder / REMEMBERED).stat().st_mtime_ns
        except OSError:
            return 0
