"""What was measured of a model: `metrics.json` of its folder."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Figures", "Measured", "Metrics", "write_metrics"]

FILE = "metrics.json"

Figures: TypeAlias = Mapping[str, Mapping[str, int | float]]
"""Figures by name, by part of the held-out data such as a language; the part `all` is the whole."""


class Measured(BaseModel, ABC):
    """What a kind measured of a model on the held-out data that `heldout_hash` tells from other data.

    A kind's own class adds the details that it wants to keep.
    """

    model_config = ConfigDict(frozen=True)

    heldout_hash: str

    @abstractmethod
    def summary(self) -> dict[str, dict[str, float]]:
        """The main figures by part."""


class Metrics(BaseModel):
    """The part of `metrics.json` that is the same for every kind."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    heldout_hash: str
    summary: Figures

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Reads those of a model folder; None where there are none, or they are damaged."""
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def write_metrics(folder: Path, measured: Measured) -> None:
    """Writes what was measured into a model folder, with its details."""
    content: dict[str, Any] = {"summary": measured.summary(), **measured.model_dump(mode="json")}
    (folder / FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
