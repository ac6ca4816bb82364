"""From a registered version to a folder on this machine whose every file was verified."""

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import aiohttp

from services.intent.versions.model_registry import ModelRegistry, Registered
from shared.nlu.manifest import MANIFEST, Manifest, ModelRejected, ModelSource, read_source

__all__ = ["VERSION", "obtain", "verify"]

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SAFE_SUFFIXES = frozenset(
    (".onnx", ".data", ".safetensors", ".json", ".txt", ".md", ".html", ".css", ".png", ".svg", ".csv", ".yml", ".yaml")
)
"""Files that are plain data to every reader. A pickle is a program; nothing is loaded from a folder that holds one."""
CHUNK = 1 << 20
SYNCED = 64 * CHUNK
"""As much as is left to the disk at once: bytes that can be written down soon when the process has to stop."""
MAX_MANIFEST = 1_000_000
MAX_FILE = 4_000_000_000
IDLE_SECONDS = 30.0


async def obtain(
    registered: Registered, registry: ModelRegistry, models: Path, *, beat: Callable[[], None] = lambda: None
) -> ModelSource[Manifest]:
    """The verified folder of a version: that below `models`, else the registered one, else downloaded into `models`.

    Answers go on meanwhile: files are written and read in threads. What is cancelled leaves nothing behind.

    Args:
        beat: called whenever a part has come, of a download that may take an hour.

    Raises:
        ModelRejected: it cannot be had, or is not what was registered.
        RegistryUnavailable: the registry cannot be asked where it is.
    """
    if not VERSION.fullmatch(registered.version) or not registered.digest:
        raise ModelRejected(f"version {registered.number} was not registered by zhiyin: it lacks its tags")
    folder = models / registered.version
    if not folder.is_dir():
        location = await registry.location(registered)
        address = urlsplit(location)
        if address.scheme in ("", "file"):
            folder = Path(unquote(address.path))
        elif address.scheme in ("http", "https"):
            await _download(location, registered, folder, beat)
        else:
            raise ModelRejected(f"files at {address.scheme}: cannot be fetched; let the tracking server serve them")
    return await asyncio.to_thread(verify, folder, registered)


def verify(folder: Path, registered: Registered) -> ModelSource[Manifest]:
    """Checks a folder against what was registered; nothing of it is loaded.

    Raises:
        ModelRejected: a file is of an unsafe kind or is not what it was.
    """
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.suffix in SAFE_SUFFIXES):
            raise ModelRejected(f"{path} is of a kind that no model is loaded from")
    source = read_source(folder, Manifest)
    if source.digest != registered.digest:
        raise ModelRejected(f"{folder / MANIFEST} is not the one that was registered: its SHA-256 differs")
    if source.manifest.version != registered.version:
        raise ModelRejected(f"{folder} holds version {source.manifest.version}, not {registered.version}")
    return source


async def _download(location: str, registered: Registered, folder: Path, beat: Callable[[], None]) -> None:
    """Brings manifest and files; the folder appears whole or not at all."""
    scratch = folder.parent / f".fetching-{registered.version}"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=IDLE_SECONDS, sock_read=IDLE_SECONDS)
    try:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await _bring(session, f"{location}/{MANIFEST}", scratch / MANIFEST, MAX_MANIFEST, beat)
            raw = (scratch / MANIFEST).read_bytes()
            if hashlib.sha256(raw).hexdigest() != registered.digest:
                raise ModelRejected(f"the manifest at {_shown(location)} is not the one that was registered")
            # Names of the manifest are names of files in its folder and nothing else; the model of it holds that rule.
            for name in Manifest.model_validate(json.loads(raw)).files:
                await _bring(session, f"{location}/{name}", scratch / name, MAX_FILE, beat)
        # Before it gets its name: a damaged folder would be in the way of a sound one.
        await asyncio.to_thread(verify, scratch, registered)
        os.replace(scratch, folder)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ModelRejected(
            f"version {registered.version} cannot be fetched from {_shown(location)}: {type(error).__name__}"
        ) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


async def _bring(session: aiohttp.ClientSession, url: str, path: Path, limit: int, beat: Callable[[], None]) -> None:
    size = unsynced = 0
    async with session.get(url) as answer:
        answer.raise_for_status()
        with path.open("wb") as file:
            async for chunk in answer.content.iter_chunked(CHUNK):
                size += len(chunk)
                if size > limit:
                    raise ModelRejected(f"{path.name} is larger than a model's file may be")
                unsynced += len(chunk)
                await asyncio.to_thread(file.write, chunk)
                if unsynced >= SYNCED:
                    await asyncio.to_thread(_sync, file)
                    unsynced = 0
                beat()
            await asyncio.to_thread(_sync, file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _shown(location: str) -> str:
    """An address without a password."""
    address = urlsplit(location)
    return f"{address.scheme}://{address.hostname or ''}{PurePosixPath(address.path)}"
