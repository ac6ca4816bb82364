"""The store of bundles: a folder, a volume or an S3-compatible store, by URL; a bundle is named by its digest."""

import asyncio
import os
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec
import structlog
from fsspec.implementations.local import LocalFileSystem

from shared.assistants.bundle import MAX_BUNDLE_BYTES, digest_of
from shared.errors import ConfigurationError, Unavailable

__all__ = ["BundleStore", "DamagedBundle"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

SECONDS = 60.0
RETRY_AFTER_SECONDS = 10.0


class DamagedBundle(Exception):
    """What the store has under a digest is something else."""


class BundleStore:
    """Bundles by digest; each appears whole or not at all, and is verified whenever it is read."""

    def __init__(self, url: str) -> None:
        """Raises:
        ConfigurationError: there is no such kind of store, or its library is not installed.
        """
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            # The URL itself is not repeated: it may have a password in it.
            raise ConfigurationError(f"ZHIYIN_STORE cannot be used: {error}") from error

    async def put(self, digest: str, data: bytes) -> None:
        """Keeps a bundle; one that is there and whole stays as it is.

        Raises:
            Unavailable: the store takes nothing now; nothing of it is there.
        """
        await self._run("kept", self._put, digest, data)

    async def get(self, digest: str) -> bytes:
        """A bundle's bytes.

        Raises:
            DamagedBundle: what is there is not what was put there, or nothing is.
            Unavailable: the store gives nothing now.
        """
        return await self._run("read", self._get, digest)

    def _put(self, digest: str, data: bytes) -> None:
        try:
            self._get(digest)
            return
        except DamagedBundle:
            pass
        beside = f"{self._root}/.new/{uuid.uuid4().hex}"
        place = self._place(digest)
        self._files.makedirs(self._files._parent(beside), exist_ok=True)
        self._files.makedirs(self._files._parent(place), exist_ok=True)
        try:
            with self._files.open(beside, "wb") as file:
                file.write(data)
                if isinstance(self._files, LocalFileSystem):
                    file.flush()
                    os.fsync(file.fileno())
            self._files.mv(beside, place)
        except BaseException:
            if self._files.exists(beside):
                self._files.rm(beside)
            raise

    def _get(self, digest: str) -> bytes:
        try:
            with self._files.open(self._place(digest), "rb") as file:
                data: bytes = file.read(MAX_BUNDLE_BYTES + 1)
        except FileNotFoundError:
            raise DamagedBundle(f"the store has no bundle {digest}") from None
        if digest_of(data) != digest:
            raise DamagedBundle(f"the store has something else under the digest {digest}")
        return data

    def _place(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"

    async def _run(self, done: str, work: Callable[..., T], *arguments: Any) -> T:
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.to_thread(work, *arguments)
        except DamagedBundle:
            raise
        except Exception as error:
            # Each kind of store has errors of its own; what they have in common is that it did not work.
            log.warning("bundle_store_failed", error=type(error).__name__, reason=str(error)[:200])
            why = (error.strerror if isinstance(error, OSError) else None) or "it does not answer"
            raise Unavailable(
                f"the bundle cannot be {done}, because of the store of bundles: {why}; try again",
                retry_after=RETRY_AFTER_SECONDS,
            ) from error
