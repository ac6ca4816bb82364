"""How it is served: the row is encoded as itself, and the answer is a label with the distance."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter

from services.intent.kinds.kind import GoldenQuestions, ServedModel, Verdict
from services.intent.settings import Settings
from shared.nlu.golden_set import GOLDEN
from shared.nlu.manifest import Manifest, ModelRejected, ModelSource

__all__ = ["CENTROIDS", "NearestKind", "NearestModel", "write_nearest"]

NAME = "nearest"
WEIGHTS = "centroids.json"
CENTROIDS = {"low": (0.0, 0.0), "high": (10.0, 10.0)}
GOLDEN_ROWS = ((1.0, 1.0, "low"), (9.0, 9.0, "high"), (2.0, 0.0, "low"), (8.0, 11.0, "high"))

Row = tuple[FiniteFloat, FiniteFloat]


class Question(NamedTuple):
    """A row; `rounded` ones never share a batch with exact ones."""

    row: tuple[float, float]
    rounded: bool


class Prediction(BaseModel):
    """A prediction."""

    label: str
    distance: float


class NearestModel(ServedModel[Question, tuple[float, float], Prediction]):
    """Centroids in memory; remembers the batches that it computed."""

    def __init__(self, kind: "NearestKind", source: ModelSource[Manifest]) -> None:
        super().__init__()
        self.kind = kind
        self.manifest = source.manifest
        self.digest = source.digest
        self.batches: list[list[Question]] = []
        try:
            self._centroids: dict[str, list[float]] = json.loads(source.file(WEIGHTS).read_text())
            golden: list[tuple[float, float, str]] = json.loads(source.file(GOLDEN).read_text())
        except ValueError as error:
            raise ModelRejected(f"{source.folder} holds no JSON") from error
        questions = [Question((x, y), rounded=False) for x, y, _label in golden]
        self.golden = GoldenQuestions(questions, [label for _x, _y, label in golden], accuracy=1.0)

    def questions(self, data: Sequence[tuple[float, float]], task: str) -> list[Question]:
        return [Question(row, task == "rounded") for row in data]

    def predictions(self, task: str, answers: Sequence[Prediction]) -> Sequence[Prediction]:
        return answers

    def verdict(self, answer: Prediction) -> Verdict:
        return Verdict(answer.label, 1 / (1 + answer.distance))

    def cache_key(self, question: Question) -> Question:
        return question

    def encode(self, questions: Sequence[Question]) -> list[tuple[float, float]]:
        return [each.row for each in questions]

    def batching_key(self, question: Question) -> bool:
        return question.rounded

    def answer_batch(self, questions: Sequence[Question], encoded: Sequence[tuple[float, float]]) -> list[Prediction]:
        self.batches.append(list(questions))
        return [self._nearest(*row, rounded=questions[0].rounded) for row in encoded]

    def _nearest(self, x: float, y: float, *, rounded: bool) -> Prediction:
        distances = {label: ((x - a) ** 2 + (y - b) ** 2) ** 0.5 for label, (a, b) in self._centroids.items()}
        label = min(distances, key=lambda each: distances[each])
        return Prediction(label=label, distance=round(distances[label]) if rounded else distances[label])


class NearestKind:
    """Rows of two numbers."""

    name = NAME
    tasks = ("label", "rounded")
    data: TypeAdapter[Any] = TypeAdapter(Annotated[list[Row], Field(min_length=1, max_length=64)])
    prediction: TypeAdapter[Any] = TypeAdapter(Prediction)

    def load(self, source: ModelSource[Manifest], settings: Settings) -> NearestModel:
        return NearestModel(self, source)


def write_nearest(
    home: Path, version: str, *, name: str = "shapes", production: bool = False, centroids: Any = CENTROIDS
) -> Path:
    """Writes `models/<name>/<version>` below `home`."""
    folder = home / "models" / name / version
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_text(json.dumps(centroids))
    (folder / GOLDEN).write_text(json.dumps(GOLDEN_ROWS))
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WEIGHTS, GOLDEN)}
    Manifest(kind=NAME, name=name, version=version, created_at=datetime.now(UTC), files=digests).write(folder)
    if production:
        (folder.parent / "production").write_text(f"{version}\n", encoding="utf-8")
    return folder
