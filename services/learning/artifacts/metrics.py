"""What was measured of a model: `metrics.json` of its folder."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Counts", "Figures", "Measured", "Samples", "write_metrics"]

FILE = "metrics.json"

Figures: TypeAlias = Mapping[str, Mapping[str, int | float]]
"""Figures by name, by part of the held-out data such as a language; the part `all` is the whole."""

Counts: TypeAlias = NDArray[np.float32]
"""[sample, row]: how often a sample of the held-out rows has each of them."""

Samples: TypeAlias = NDArray[np.float64]
"""A figure of each sample; NaN where a sample has no row that the figure is about."""


class Measured(BaseModel, ABC):
    """What a kind measured of a model on the held-out data that `heldout_hash` tells from other data.

    A kind's own class adds what was found of each row, and the details that it wants to keep.
    """

    model_config = ConfigDict(frozen=True)

    heldout_hash: str

    @property
    @abstractmethod
    def rows(self) -> Sequence[str]:
        """A name of each held-out row that was judged; the same row has the same name for every model."""

    @abstractmethod
    def summary(self) -> dict[str, dict[str, float]]:
        """The main figures by part."""

    @abstractmethod
    def sampled(self, counts: Counts) -> Mapping[str, Mapping[str, Samples]]:
        """The figures by which versions are compared, by part, of samples of the rows; `counts` has them in order."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What was measured of a model folder; None where that was not kept, or not by this release, or is damaged."""
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def write_metrics(folder: Path, measured: Measured) -> None:
    """Writes what was measured into a model folder, with its details."""
    content: dict[str, Any] = {"summary": measured.summary(), **measured.model_dump(mode="json")}
    (folder / FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
