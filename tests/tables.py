"""A second kind of model, small enough for tests: rows of two numbers get the label of the nearest centre.

It is what the documentation asks of a kind and nothing else: no network, no tokens, no text.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter

from services.intent.kinds.kind import GoldenQuestions, ServedModel, Verdict
from services.intent.settings import Settings
from shared.nlu.manifest import Manifest, ModelRejected, ModelSource

__all__ = ["CENTRES", "TableKind", "TableModel", "write_table"]

TABLE = "table"
CENTRES_FILE = "centres.json"
CENTRES = {"loan": (0.0, 0.0), "card": (10.0, 10.0)}
GOLDEN = {(1.0, 1.0): "loan", (9.0, 9.0): "card", (2.0, 0.0): "loan", (8.0, 11.0): "card"}

Row = tuple[FiniteFloat, FiniteFloat]


class Question(NamedTuple):
    """A row; `rounded` ones never share a batch with exact ones."""

    row: tuple[float, float]
    rounded: bool


class Nearest(BaseModel):
    """A prediction."""

    label: str
    distance: float


class TableModel(ServedModel[Question, tuple[float, float], Nearest]):
    """Centres in memory; remembers the batches that it computed."""

    def __init__(self, kind: "TableKind", source: ModelSource[Manifest]) -> None:
        super().__init__()
        self.kind = kind
        self.manifest = source.manifest
        self.digest = source.digest
        self.batches: list[list[Question]] = []
        try:
            self._centres: dict[str, list[float]] = json.loads(source.file(CENTRES_FILE).read_text())
        except ValueError as error:
            raise ModelRejected(f"{CENTRES_FILE} cannot be read") from error
        self.golden = GoldenQuestions([Question(row, False) for row in GOLDEN], list(GOLDEN.values()), 1.0)

    def questions(self, data: Sequence[tuple[float, float]], task: str) -> list[Question]:
        return [Question(row, task == "rounded") for row in data]

    def predictions(self, task: str, answers: Sequence[Nearest]) -> Sequence[Nearest]:
        return answers

    def verdict(self, answer: Nearest) -> Verdict:
        return Verdict(answer.label, 1 / (1 + answer.distance))

    def cache_key(self, question: Question) -> Question:
        return question

    def encode(self, questions: Sequence[Question]) -> list[tuple[float, float]]:
        return [each.row for each in questions]

    def batching_key(self, question: Question) -> bool:
        return question.rounded

    def answer_batch(self, questions: Sequence[Question], encoded: Sequence[tuple[float, float]]) -> list[Nearest]:
        self.batches.append(list(questions))
        return [self._nearest(*row, rounded=questions[0].rounded) for row in encoded]

    def _nearest(self, x: float, y: float, *, rounded: bool) -> Nearest:
        distances = {label: ((x - a) ** 2 + (y - b) ** 2) ** 0.5 for label, (a, b) in self._centres.items()}
        label = min(distances, key=lambda each: distances[each])
        return Nearest(label=label, distance=round(distances[label]) if rounded else distances[label])


class TableKind:
    """Rows of two numbers."""

    name = TABLE
    tasks = ("label", "rounded")
    data: TypeAdapter[Any] = TypeAdapter(Annotated[list[Row], Field(min_length=1, max_length=64)])
    prediction: TypeAdapter[Any] = TypeAdapter(Nearest)

    def load(self, source: ModelSource[Manifest], settings: Settings) -> TableModel:
        return TableModel(self, source)


def write_table(
    home: Path, version: str, *, name: str = "loans", production: bool = False, centres: Any = CENTRES
) -> Path:
    """Writes `models/<name>/<version>` below `home`."""
    folder = home / "models" / name / version
    folder.mkdir(parents=True)
    (folder / CENTRES_FILE).write_text(json.dumps(centres))
    digest = hashlib.sha256((folder / CENTRES_FILE).read_bytes()).hexdigest()
    Manifest(kind=TABLE, name=name, version=version, created_at=datetime.now(UTC), files={CENTRES_FILE: digest}).write(
        folder
    )
    if production:
        (folder.parent / "production").write_text(f"{version}\n", encoding="utf-8")
    return folder
