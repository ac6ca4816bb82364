"""The manifest of a model folder: what the model is, what its outputs mean, and the digests of its files.

Training writes and serving reads it by the same classes. Unknown fields are kept, so that releases N and N+1 work with
each other's models.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from shared.errors import ConfigurationError
from shared.nlu.bio_tags import OUTSIDE
from shared.nlu.out_of_scope import CENTROIDS, NEED_CENTROIDS, ScopeRule

__all__ = [
    "INT8",
    "MANIFEST",
    "MODEL",
    "OUT_OF_SCOPE",
    "TOKENIZER",
    "UNDERSTANDING",
    "WEIGHTS",
    "EncoderFacts",
    "Manifest",
    "ModelError",
    "ModelManifest",
    "ModelRejected",
    "ModelSource",
    "NetworkManifest",
    "NetworkSource",
    "Quantised",
    "read_manifest",
    "read_source",
]

MANIFEST, MODEL, TOKENIZER, WEIGHTS = "manifest.json", "model.onnx", "tokenizer.json", "weights.safetensors"
INT8 = "model.int8.onnx"
OUT_OF_SCOPE = "out_of_scope"
UNDERSTANDING: Final = "understanding"
"""The kind of models that say what texts mean."""
ROUNDING = 1e-9
SENTIMENTS = 3

T = TypeVar("T")
M = TypeVar("M", bound="Manifest")
K = TypeVar("K", bound="Manifest")
M_co = TypeVar("M_co", bound="Manifest", covariant=True)
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ModelError(ConfigurationError):
    """A model cannot be used in the way that was asked; the message says which and why."""


class ModelRejected(ModelError):
    """A model folder that is not served; the message says which and why."""


class _Section(BaseModel):
    """A frozen section of the manifest; what a later writer adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EncoderFacts(_Section):
    """The encoder below the heads: which one it was made from, and what was kept of it.

    `digest` is that of the pretrained files, `source` where they came from.
    """

    name: Label
    layers: Annotated[int, Field(ge=1)]
    vocabulary: Annotated[int, Field(ge=1)]
    digest: str = ""
    source: str = ""


class Quantised(_Section):
    """The gate that the 8-bit form of a model passed: accuracy on validation utterances, of it and of the model.

    `engine` is the library that lost most.
    """

    engine: str = ""
    accuracy: Annotated[float, Field(ge=0, le=1)]
    reference: Annotated[float, Field(ge=0, le=1)]
    max_drop: Annotated[float, Field(ge=0, le=1)]
    utterances: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _passed(self) -> Self:
        if self.reference - self.accuracy > self.max_drop + ROUNDING:
            raise ValueError("the accuracy of int8 is further below the model's than its gate allows")
        return self


class Manifest(BaseModel):
    """What the manifest of every kind of model says; what the kind or a later release adds is kept as it is.

    `kind` names the code that reads the rest of the manifest, trains and serves the model.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[2] = 2
    kind: Name = UNDERSTANDING
    name: Name
    version: Name
    created_at: datetime
    files: dict[Name, Digest]
    data_hash: str = ""
    metrics: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("format", mode="before")
    @classmethod
    def _of_today(cls, number: object) -> object:
        if number == 1:
            raise ValueError("a model of format 1 has no embeddings; train it again")
        return number

    def write(self, folder: Path) -> None:
        """Writes `manifest.json` into a model folder."""
        (folder / MANIFEST).write_text(self.model_dump_json(indent=1), encoding="utf-8")


class NetworkManifest(Manifest):
    """What is known of an understanding network once it is exported: its labels and how it reads texts.

    `neighbours` are the kinds of entity of which two may stand side by side; None: all may.
    """

    kind: Literal["understanding"] = UNDERSTANDING
    languages: tuple[Label, ...]
    encoder: EncoderFacts
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    prefix: Annotated[str, StringConstraints(max_length=100)]
    intents: Annotated[tuple[Label, ...], Field(min_length=2)]
    tags: Annotated[tuple[Label, ...], Field(min_length=1)]
    neighbours: tuple[Label, ...] | None = None
    sentiments: Annotated[tuple[Literal["negative", "neutral", "positive"], ...], Field(min_length=1)]

    @field_validator("intents", "tags", "sentiments")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels):
            raise ValueError("a label is there twice")
        return labels

    @model_validator(mode="after")
    def _describes_a_network(self) -> Self:
        if OUTSIDE not in self.tags:
            raise ValueError(f"tags lack {OUTSIDE}")
        for tag in self.tags:
            place, _, entity = tag.partition("-")
            if tag != OUTSIDE and not (entity and (place == "B" or (place == "I" and f"B-{entity}" in self.tags))):
                raise ValueError(f"tag {tag} is neither O, nor B-…, nor an I-… that has its B-…")
        for name in (MODEL, TOKENIZER):
            if name not in self.files:
                raise ValueError(f"files lack the digest of {name}")
        return self


class ModelManifest(NetworkManifest):
    """`manifest.json` of an understanding model, checked: one whose labels contradict each other is not loaded.

    With a `multi_intent_threshold` each intent has a probability of its own, and a text expresses all from there on.
    `symbols` are the emoji and marks that have a meaning without words: utterances of them alone were learned.
    """

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    out_of_scope: ScopeRule
    multi_intent_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    quantised: Quantised | None = None
    symbols: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if OUT_OF_SCOPE not in self.intents:
            raise ValueError(f"intents lack {OUT_OF_SCOPE}")
        if len(self.sentiments) != SENTIMENTS:
            raise ValueError(f"sentiments are not {SENTIMENTS}")
        if (INT8 in self.files) != (self.quantised is not None):
            raise ValueError(f"{INT8} and the gate that it passed are there together or not at all")
        if self.out_of_scope.score in NEED_CENTROIDS and CENTROIDS not in self.files:
            raise ValueError(f"files lack the digest of {CENTROIDS}, which the distance needs")
        return self


@dataclass(frozen=True)
class ModelSource(Generic[M_co]):
    """A model folder whose files were verified."""

    folder: Path
    manifest: M_co
    digest: str

    def file(self, name: str) -> Path:
        """The path of a file of the folder.

        Raises:
            ModelRejected: it is not there, or the manifest has no digest that it was verified by.
        """
        if name not in self.manifest.files:
            raise ModelRejected(f"{self.folder / MANIFEST} has no digest of {name}")
        if not (path := self.folder / name).is_file():
            raise ModelRejected(f"{path} is missing")
        return path

    def described_by(self, manifest: type[K]) -> "ModelSource[K]":
        """The same folder with the manifest read as that of its kind.

        Raises:
            ModelRejected: it is no valid manifest of that kind.
        """
        if isinstance(self.manifest, manifest):
            return ModelSource(self.folder, self.manifest, self.digest)
        raw = self.manifest.model_dump(mode="json")
        return ModelSource(self.folder, _checked(self.folder, raw, manifest), self.digest)


NetworkSource: TypeAlias = ModelSource[NetworkManifest]
"""A folder with a network that reads texts, calibrated or not."""


@overload
def read_manifest(folder: Path) -> ModelManifest: ...


@overload
def read_manifest(folder: Path, manifest: type[M]) -> M: ...


def read_manifest(folder: Path, manifest: type[Any] = ModelManifest) -> Any:
    """Reads the manifest of a model folder; no other file of the folder is looked at.

    Args:
        manifest: what it is read as; `Manifest` reads that of any kind.

    Raises:
        ModelRejected: it cannot be read or is not valid.
    """
    if not (folder / MANIFEST).exists():
        raise ModelRejected(f"there is no model in {folder}: {MANIFEST} is missing")
    return _parsed(folder, _read(folder, MANIFEST, Path.read_bytes), manifest)


@overload
def read_source(folder: Path) -> ModelSource[ModelManifest]: ...


@overload
def read_source(folder: Path, manifest: type[M]) -> ModelSource[M]: ...


def read_source(folder: Path, manifest: type[Any] = ModelManifest) -> ModelSource[Any]:
    """Reads the manifest of a model folder and verifies every file that it lists and that is there.

    Which of them have to be there depends on the back end. The digest is that of the manifest, which itself
    names the digests of all files. Versions are never written over, so what was verified is what is loaded.

    Args:
        manifest: what the manifest is read as; `Manifest` reads that of any kind.

    Raises:
        ModelRejected: a file cannot be read or differs from its digest.
    """
    raw = _read(folder, MANIFEST, Path.read_bytes)
    found = _parsed(folder, raw, manifest)
    for name, digest in found.files.items():
        if (folder / name).exists() and _read(folder, name, _digest) != digest:
            raise ModelRejected(f"{folder / name} is not the file that the manifest describes: its SHA-256 differs")
    return ModelSource(folder, found, hashlib.sha256(raw).hexdigest())


def _parsed(folder: Path, raw: bytes, manifest: type[M]) -> M:
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise ModelRejected(f"{folder / MANIFEST} is not JSON: {error}") from error
    return _checked(folder, content, manifest)


def _checked(folder: Path, content: object, manifest: type[M]) -> M:
    try:
        return manifest.model_validate(content)
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors())
        raise ModelRejected(f"{folder / MANIFEST} is not valid: {why}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path, name: str, read: Callable[[Path], T]) -> T:
    try:
        return read(folder / name)
    except OSError as error:
        raise ModelRejected(f"{folder / name} cannot be read: {error.strerror or error}") from error
