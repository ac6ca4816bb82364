"""How far a text is from what an assistant was made for: three scores, defined once for training and serving.

A score lies in [0, 1], the higher the further outside. The raw measures keep their order but not their unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CENTROIDS", "NEED_CENTROIDS", "SCORES", "Centroids", "Measures", "ScopeRule", "Score"]

CENTROIDS = "scope.safetensors"

Score = Literal["probability", "energy", "distance", "combined"]
SCORES: tuple[Score, ...] = ("probability", "energy", "distance", "combined")
NEED_CENTROIDS: tuple[Score, ...] = ("distance", "combined")

Floats = NDArray[np.float32]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ScopeRule(BaseModel):
    """Out of scope from `threshold` on, by this score; what a later writer adds is ignored.

    Energy and distance have no bounds of their own: `middle` is placed at 0.5, and `spread` is what raises the log-odds
    by one. `false_accept` is the share of texts from outside that the threshold was set to let through.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    threshold: Annotated[float, Field(ge=0, le=1)]
    score: Score = "probability"
    middle: Finite = 0.0
    spread: Annotated[Finite, Field(gt=0)] = 1.0
    false_accept: Annotated[float, Field(gt=0, lt=1)] | None = None

    def scores(self, measures: "Measures") -> Floats:
        """The score of each text."""
        raw = measures.raw(self.score)
        if self.score == "probability":
            return np.clip(raw, 0.0, 1.0)
        # tanh does not overflow, however far a text is.
        return np.asarray(0.5 + 0.5 * np.tanh((raw - self.middle) / (2 * self.spread)), np.float32)


@dataclass(frozen=True)
class Centroids:
    """Where the intents in scope lie: `centers` [intents, width], multiplied with `whitening` [width, width].

    After whitening the square of a Euclidean distance is that of Mahalanobis' distance, the covariance being the one
    that all intents share.
    """

    centers: Floats
    whitening: Floats

    def nearest(self, embeddings: Floats) -> Floats:
        """The distance of each of `embeddings` [texts, width] from the nearest intent."""
        white = embeddings @ self.whitening
        squares = (white**2).sum(1)[:, None] - 2 * white @ self.centers.T + (self.centers**2).sum(1)
        return np.asarray(np.sqrt(np.maximum(squares.min(1), 0.0)), np.float32)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what `write` wrote.

        Raises:
            OSError, ValueError: the file cannot be read or is not such a file.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(path)
            found = cls(tensors["centers"], tensors["whitening"])
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{path} holds no centroids: {error}") from error
        width = found.centers.shape[-1]
        if found.centers.ndim != 2 or found.whitening.shape != (width, width):
            raise ValueError(f"{path}: shapes {found.centers.shape} and {found.whitening.shape} do not belong together")
        return found

    def write(self, path: Path) -> None:
        """Writes a safetensors file."""
        from safetensors.numpy import save_file

        save_file({"centers": self.centers, "whitening": self.whitening}, path)
        path.chmod(0o644)  # the library lets only the owner read it


@dataclass(frozen=True)
class Measures:
    """What a model computed of texts, as the scores need it.

    `probabilities` and `logits` are [texts, intents], `embeddings` [texts, width]; `inside` names the columns of the
    intents in scope.
    """

    probabilities: Floats
    logits: Floats
    embeddings: Floats
    inside: Sequence[int]
    centroids: Centroids | None = None

    def raw(self, score: Score) -> Floats:
        """The measure behind a score, the higher the further outside, in a unit of its own.

        probability: one minus the largest probability of an intent in scope (Hendrycks & Gimpel 2017).
        energy: minus the logarithm of the sum of the exponentials of the logits in scope (Liu et al. 2020).
        distance: Mahalanobis' distance from the nearest centroid (Podolskiy et al. 2021).
        combined: energy and distance added up; the one sees what the classes tell apart, the other what they do not.
        """
        if score == "probability":
            return np.asarray(1.0 - self.probabilities[:, list(self.inside)].max(1), np.float32)
        if score == "energy":
            return self._energy()
        if self.centroids is None:
            raise ValueError("the distance needs centroids")
        distance = self.centroids.nearest(self.embeddings)
        return distance if score == "distance" else distance + self._energy()

    def _energy(self) -> Floats:
        logits = self.logits[:, list(self.inside)]
        highest = logits.max(1)
        return np.asarray(-highest - np.log(np.exp(logits - highest[:, None]).sum(1)), np.float32)
