"""What customers would get from a model folder: the pipeline that serves, with what evaluation needs beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.contracts.understanding import Entity
from shared.nlu.manifest import OUT_OF_SCOPE
from shared.nlu.model import Model
from shared.nlu.out_of_scope import CENTROIDS, NEED_CENTROIDS, SCORES, Centroids, Measures, Score

__all__ = ["FolderPredictor", "Prediction", "Predictor"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """What the model says about one text; `intents` are probabilities in the order of the model's labels.

    `entities` are those that a customer's turn gets, of patterns and model merged. `scope` has every measure of being
    out of scope that the model knows, in its own unit.
    """

    intents: Floats
    out_of_scope: float
    sentiment: str
    entities: tuple[Entity, ...]
    scope: Mapping[Score, float] = field(default_factory=dict)


class Predictor(Protocol):
    """Anything that says what texts mean; `engine` is what computes, with its precision and device."""

    engine: str

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order."""
        ...


class FolderPredictor:
    """A model folder as the model server loads it: the same choice of engine and precision, the same reading."""

    def __init__(self, folder: Path) -> None:
        self._model = Model.load(folder, backend="auto")
        manifest, source = self._model.manifest, self._model.source
        self.engine = f"{self._model.backend} {self._model.precision} on {self._model.device}"
        self._inside = [number for number, name in enumerate(manifest.intents) if name != OUT_OF_SCOPE]
        self._centroids = Centroids.read(source.file(CENTROIDS)) if CENTROIDS in manifest.files else None

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order."""
        if not texts:
            return []
        answers = self._model.answers(texts)
        measures = Measures(
            probabilities=np.stack([each.probabilities for each in answers]),
            logits=np.stack([each.logits for each in answers]),
            embeddings=np.stack([each.embedding for each in answers]),
            inside=self._inside,
            centroids=self._centroids,
        )
        known = [score for score in SCORES if score not in NEED_CENTROIDS or self._centroids is not None]
        scope = {score: measures.raw(score) for score in known}
        return [
            Prediction(
                answer.probabilities,
                understood.out_of_scope.score,
                understood.sentiment.label,
                understood.entities,
                {score: float(raw[row]) for score, raw in scope.items()},
            )
            for row, answer in enumerate(answers)
            if (understood := answer.understanding) is not None
        ]
