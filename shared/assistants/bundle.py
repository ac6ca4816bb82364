"""Bundles: an assistant's folder as one file, the same bytes on every machine; its SHA-256 is its version.

A bundle is an uncompressed tar archive of regular files alone, in the order of their names, with nothing in its
headers but names and sizes. So it is as large as what it holds, and there is exactly one bundle of a folder:
whatever differs from it in a byte is refused.
"""

import hashlib
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from tarfile import BLOCKSIZE, RECORDSIZE, REGTYPE, USTAR_FORMAT, HeaderError, TarInfo

from shared.errors import ConfigurationError

__all__ = ["MAX_BUNDLE_BYTES", "MAX_FILES", "BundleError", "digest_of", "pack", "unpack"]

MAX_BUNDLE_BYTES = 64 * 1024 * 1024
MAX_FILES = 5_000
MAX_PARTS = 16
MODE = 0o644
LEFT_OUT = "__pycache__"
KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder of its own",
    b"6": "a named pipe",
}


class BundleError(ConfigurationError):
    """A folder cannot be packed, or these bytes are no bundle; `file` is the file that is to blame, if one is."""

    def __init__(self, message: str, file: str = "") -> None:
        shown = file.encode("utf-8", "backslashreplace").decode()
        shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in shown[:200])
        super().__init__(f"{shown}: {message}" if shown else message)
        self.file = file


def digest_of(data: bytes) -> str:
    """The name of a bundle: SHA-256 of its bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def pack(folder: Path) -> bytes:
    """A folder as a bundle; hidden files and `__pycache__` are left out.

    Raises:
        BundleError: it holds what a bundle may not, is too large, or cannot be read.
    """
    files: dict[str, bytes] = {}
    room = MAX_BUNDLE_BYTES
    for path, name in _found(folder, ""):
        if name in files:
            raise BundleError("two files have this name, in different spellings of the same characters", name)
        if len(files) == MAX_FILES:
            raise BundleError(f"a bundle has at most {MAX_FILES} files", name)
        files[name] = _content(path, name, room)
        room -= len(files[name])
    _require_distinct(files)
    if not files:
        raise BundleError(f"{folder} has no files")
    return _archive(files)


def unpack(data: bytes, into: Path) -> None:
    """Writes the files of a bundle below a folder that is not there yet; it appears whole or not at all.

    Raises:
        BundleError: these bytes are no bundle; nothing was written.
        OSError: the disk is full, or somebody else made the folder meanwhile; nothing is left behind.
    """
    files = read(data)
    into.parent.mkdir(parents=True, exist_ok=True)
    beside = into.with_name(f".{into.name}.{token_hex(8)}")
    try:
        for name, content in files.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        beside.rename(into)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read(data: bytes) -> Mapping[str, bytes]:
    """The files of a bundle by their names, with `/` between folders.

    Raises:
        BundleError: these bytes are no bundle.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(_too_large())
    files: dict[str, bytes] = {}
    position = 0
    while (block := data[position : position + BLOCKSIZE]).strip(b"\0"):
        try:
            header = TarInfo.frombuf(block, "utf-8", "strict")
        except HeaderError:
            raise BundleError("this is no bundle, or it is damaged") from None
        except UnicodeDecodeError:
            raise BundleError("its name is not UTF-8", _name_in(block)) from None
        name = header.name
        if header.type != REGTYPE:
            kind = KINDS.get(header.type, "no regular file")
            raise BundleError(f"it is {kind}; a bundle has regular files only", name)
        if name in files:
            raise BundleError("it is there twice", name)
        if len(files) == MAX_FILES:
            raise BundleError(f"a bundle has at most {MAX_FILES} files", name)
        _require_name(name)
        begin = position + BLOCKSIZE
        if not 0 <= header.size <= len(data) - begin:
            raise BundleError("the bundle ends within this file", name)
        files[name] = data[begin : begin + header.size]
        position = begin + header.size + -header.size % BLOCKSIZE
    _require_distinct(files)
    if not files:
        raise BundleError("this is no bundle, or an empty one")
    # What remains: trailing bytes, another order, other headers. Two bundles of one folder would have two digests.
    if _archive(files) != data:
        raise BundleError("this is no bundle as `zhiyin publish` packs it, or it is cut off")
    return files


def _found(folder: Path, inside: str) -> Iterator[tuple[Path, str]]:
    """The files below a folder with their names in the bundle."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", inside or str(folder)) from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name == LEFT_OUT:
            continue
        # Some systems store the accents of a name apart from its letters.
        name = inside + unicodedata.normalize("NFC", entry.name)
        _require_name(name)
        if entry.is_symlink():
            raise BundleError("it is a symbolic link; a bundle has regular files only", name)
        if entry.is_dir(follow_symlinks=False):
            yield from _found(Path(entry.path), f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path), name
        else:
            raise BundleError("it is no regular file", name)


def _content(path: Path, name: str, room: int) -> bytes:
    """A file's bytes, of which there may be `room`."""
    try:
        # It may have become a link or a pipe since it was listed.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError("it is no regular file", name)
            content = file.read(room + 1)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", name) from None
    if len(content) > room:
        raise BundleError(_too_large(), name)
    return content


def _require_name(name: str) -> None:
    """Refuses a name that is none on some system, leads out of the folder, or is not written in the one way."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BundleError("its name is not UTF-8", name) from None
    parts = name.split("/")
    if name.startswith("/") or not all(parts) or ".." in parts or "." in parts or "\\" in name:
        raise BundleError("its path leads out of the folder, or is none", name)
    if not name.isprintable():
        raise BundleError("its name has characters that cannot be printed", name)
    if any(part.startswith(".") or part == LEFT_OUT for part in parts):
        raise BundleError("hidden files are no part of a bundle", name)
    if unicodedata.normalize("NFC", name) != name:
        raise BundleError("its name has accents apart from their letters", name)
    if len(parts) > MAX_PARTS:
        raise BundleError(f"it lies more than {MAX_PARTS} folders deep", name)


def _require_distinct(files: Mapping[str, bytes]) -> None:
    """Refuses names that some system takes for the same, and files that are folders of others."""
    seen: dict[str, str] = {}
    for name in files:
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            here = "/".join(parts[:end])
            # A folder is entered with a slash, so that it differs from a file of its name.
            entry = here if end == len(parts) else f"{here}/"
            other = seen.setdefault(unicodedata.normalize("NFC", here.casefold()), entry)
            if other != entry:
                raise BundleError(f"some systems cannot tell its name from {other}", entry)


def _archive(files: Mapping[str, bytes]) -> bytes:
    """The one archive of these files."""
    parts: list[bytes] = []
    for name in sorted(files, key=str.encode):
        header = TarInfo(name)
        header.size, header.mode = len(files[name]), MODE
        try:
            parts.append(header.tobuf(USTAR_FORMAT, "utf-8", "strict"))
        except ValueError:
            raise BundleError("its name has over 100 bytes, or its folder's over 155", name) from None
        parts += (files[name], bytes(-len(files[name]) % BLOCKSIZE))
    length = sum(map(len, parts)) + 2 * BLOCKSIZE
    parts.append(bytes(2 * BLOCKSIZE + -length % RECORDSIZE))
    if length + -length % RECORDSIZE > MAX_BUNDLE_BYTES:
        raise BundleError(_too_large())
    return b"".join(parts)


def _name_in(block: bytes) -> str:
    return block[:100].split(b"\0")[0].decode("utf-8", "surrogateescape")


def _too_large() -> str:
    return f"a bundle has at most {MAX_BUNDLE_BYTES // 1024 // 1024} MiB"
