"""What a trained model says about itself: `manifest.json` of its folder."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ConfigurationError
from shared.nlu.out_of_scope import ScopeRule

__all__ = ["EncoderFacts", "ModelError", "ModelManifest", "Quantised", "read_manifest"]


class ModelError(ConfigurationError):
    """A model folder cannot be used."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class EncoderFacts(_Frozen):
    """Which encoder the model was made from, and what was kept of it."""

    name: str
    layers: int
    vocabulary: int
    digest: str
    source: str


class Quantised(_Frozen):
    """The gate that the 8-bit form passed: shares of validation utterances understood by it and by the model."""

    engine: str
    accuracy: float
    reference: float
    max_drop: float
    utterances: int


class ModelManifest(_Frozen):
    """The labels, the calibration and the digests of a model.

    `neighbours` are the kinds of entity of which two may stand side by side; None: all may.
    """

    format: Literal[2] = 2
    name: str
    version: str
    created_at: datetime
    languages: tuple[str, ...]
    encoder: EncoderFacts
    max_tokens: int
    prefix: str
    intents: tuple[str, ...]
    tags: tuple[str, ...]
    neighbours: tuple[str, ...] | None = None
    sentiments: tuple[str, ...]
    temperature: float
    out_of_scope: ScopeRule
    multi_intent_threshold: float | None = None
    files: dict[str, str]
    quantised: Quantised | None = None
    data_hash: str
    metrics: dict[str, Any] = {}


def read_manifest(folder: Path) -> ModelManifest:
    """Reads the manifest of a model folder."""
    path = folder / "manifest.json"
    try:
        return ModelManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{folder} is no model folder: manifest.json is missing") from None
    except ValidationError as error:
        raise ModelError(f"{path}: {error.errors(include_url=False)[0]['msg']}") from None
