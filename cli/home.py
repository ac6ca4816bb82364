"""The state folder: where everything that one machine's Zhiyin keeps is found."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.errors import EnvironmentUnfit

__all__ = ["Home"]

MEGABYTE = 1_000_000


class Home:
    """Paths below the state folder, and what is written there by more than one process."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.tools = self.root / "tools"
        self.models = self.root / "models"
        self.data = self.root / "data"
        self.logs = self.root / "logs"
        self.secrets = self.root / "secrets"
        self.run_file = self.root / "run.json"
        self.lock_file = self.root / "run.lock"

    def prepare(self, *, free_megabytes: int = 0) -> None:
        """Makes the folders.

        Raises:
            EnvironmentUnfit: they cannot be written, or less than `free_megabytes` is left on their disk.
        """
        try:
            for folder in (self.root, self.tools, self.models, self.data, self.logs, self.secrets):
                folder.mkdir(parents=True, exist_ok=True)
            # What customers said, and by what services know one another, is no other user's of this machine.
            for private in (self.data, self.logs, self.secrets):
                private.chmod(0o700)
            free = shutil.disk_usage(self.root).free // MEGABYTE
        except OSError as error:
            raise EnvironmentUnfit(
                f"The state folder {self.root} cannot be written ({error.strerror}); "
                "make it writable or choose another with ZHIYIN_HOME."
            ) from error
        if free < free_megabytes:
            raise EnvironmentUnfit(
                f"The disk of {self.root} has {free} MB free and {free_megabytes} MB are needed; "
                "free some, or choose a folder on another disk with ZHIYIN_HOME."
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds this folder for one `zhiyin up`; the kernel gives it back however the holder ends.

        Raises:
            EnvironmentUnfit: another process holds it.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
                raise EnvironmentUnfit(
                    f"Zhiyin is already running in {self.root} (process {holder}); stop it with Ctrl-C there "
                    f"or `kill {holder}`, or choose another folder with ZHIYIN_HOME."
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_running(self) -> bool:
        """Whether a `zhiyin up` holds this folder now."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def write_run(self, document: dict[str, Any]) -> None:
        """Replaces run.json at once, so that a reader never sees half of it."""
        write_atomically(self.run_file, json.dumps(document, indent=2) + "\n")

    def read_run(self) -> dict[str, Any] | None:
        """What the running `zhiyin up` wrote about itself; `None` when none runs."""
        if not self.is_running():
            return None
        try:
            document = json.loads(self.run_file.read_text())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def forget_run(self) -> None:
        """Removes run.json."""
        self.run_file.unlink(missing_ok=True)


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Writes a file that is either the old one or the whole new one, readable by `mode` from its first moment."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
