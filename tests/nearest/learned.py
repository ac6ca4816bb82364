"""How it is learned: weights are a JSON file with the mean row of each label."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from services.learning.artifacts.metrics import Counts, Measured, Samples
from services.learning.kinds.kind import Fitted, Kind, Prepared, Workplace
from services.learning.progress import Progress, Report
from shared.errors import ConfigurationError
from shared.nlu.manifest import Manifest, ModelError, read_manifest

__all__ = ["FARTHEST", "NEAREST", "Farthest", "Nearest", "NearestManifest", "write_table"]

NEAREST, FARTHEST = "nearest", "farthest"

Row = tuple[float, float, str]
ROWS: tuple[Row, ...] = ((0, 0, "low"), (1, 1, "low"), (8, 9, "high"), (9, 8, "high"))
HELDOUT: tuple[Row, ...] = ((0, 1, "low"), (2, 2, "low"), (9, 9, "high"), (7, 8, "high"))


class NearestManifest(Manifest):
    """What is to be known besides the centroids."""

    kind: Literal["nearest", "farthest"] = "nearest"
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Table(Prepared):
    """Rows with labels."""

    rows: tuple[Row, ...]
    heldout: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Centroids(Fitted):
    """The mean row of each label."""

    centroids: dict[str, tuple[float, float]]


class Scores(Measured):
    """How many rows get their label."""

    mistakes: tuple[Row, ...]
    right: tuple[tuple[str, bool], ...]

    @property
    def rows(self) -> Sequence[str]:
        return [name for name, _right in self.right]

    def sampled(self, counts: Counts) -> Mapping[str, Mapping[str, Samples]]:
        right = np.array([right for _name, right in self.right], np.float32)
        rows = counts.sum(1)
        share = np.divide(counts @ right, rows, out=np.full(len(rows), np.nan), where=rows > 0, dtype=np.float64)
        return {"all": {"accuracy": share}}

    @property
    def accuracy(self) -> float:
        return 1 - len(self.mistakes) / len(self.right)

    def summary(self) -> dict[str, dict[str, float]]:
        return {"all": {"accuracy": self.accuracy, "mistakes": len(self.mistakes)}}


class Nearest(Kind[Table, Centroids]):
    """Counts in `fits` how often it was asked to fit; stops in the middle of a fit while `stopping`."""

    name = NEAREST
    data_file = "table.json"
    manifest = NearestManifest
    measured = Scores
    compared: ClassVar[Mapping[str, str]] = {"accuracy": "accuracy"}
    libraries = ("numpy",)

    def __init__(self) -> None:
        self.fits: list[str] = []
        self.stopping = False

    def prepare(self, folder: Path) -> Table:
        try:
            table = json.loads((folder / self.data_file).read_bytes())
        except FileNotFoundError:
            raise ConfigurationError(f"{folder} has no {self.data_file}") from None
        rows, heldout = (tuple((x, y, label) for x, y, label in table[part]) for part in ("rows", "heldout"))
        return Table(
            name=table["name"],
            data_hash=_hash(rows),
            heldout_hash=_hash(heldout) if heldout else "",
            recipe=(self.name, _hash(rows), 1),
            rows=rows,
            heldout=heldout,
        )

    def fit(self, prepared: Table, place: Workplace, progress: Report) -> Centroids:
        checkpoint = place.folder / "checkpoint"
        self.fits.append("again" if checkpoint.exists() else "new")
        checkpoint.touch()
        if self.stopping:
            raise KeyboardInterrupt
        progress(Progress(stage="training", done=1, total=1))
        labels = sorted({label for _x, _y, label in prepared.rows})
        groups = {label: [(x, y) for x, y, found in prepared.rows if found == label] for label in labels}
        return Centroids(
            settings={"metric": "euclidean"},
            sizes={"training_rows": len(prepared.rows)},
            centroids={
                label: (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
                for label, group in groups.items()
            },
        )

    def export(self, prepared: Table, fitted: Centroids, folder: Path) -> Mapping[str, Any]:
        (folder / "centroids.json").write_text(json.dumps(fitted.centroids), encoding="utf-8")
        return {"labels": tuple(fitted.centroids)}

    def judge(self, prepared: Table, folder: Path) -> Scores:
        if not prepared.heldout:
            raise ConfigurationError("there are no held-out rows")
        labels = read_manifest(folder, NearestManifest).labels
        known = [row for row in prepared.heldout if row[2] in labels]
        wrong = tuple(row for row in known if self._label(folder, row) != row[2])
        right = tuple((f"{x} {y}", (x, y, label) not in wrong) for x, y, label in known)
        return Scores(heldout_hash=prepared.heldout_hash, mistakes=wrong, right=right)

    def evaluate(self, prepared: Table, folder: Path) -> Scores:
        labels = read_manifest(folder, NearestManifest).labels
        if missing := {label for _x, _y, label in prepared.heldout} - set(labels):
            raise ModelError(f"{folder} lacks the labels {missing}")
        measured = self.judge(prepared, folder)
        text = f"{len(measured.mistakes)} of {len(prepared.heldout)} are wrong\n"
        (folder / "card.md").write_text(text, encoding="utf-8")
        return measured

    def write_checks(self, prepared: Table, folder: Path) -> Sequence[str]:
        golden = [[x, y, self._label(folder, (x, y, ""))] for x, y, _label in prepared.heldout]
        (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
        return ("golden.json",)

    def _label(self, folder: Path, row: Row) -> str:
        centroids: dict[str, list[float]] = json.loads((folder / "centroids.json").read_bytes())
        return min(centroids, key=lambda name: (centroids[name][0] - row[0]) ** 2 + (centroids[name][1] - row[1]) ** 2)


class Farthest(Nearest):
    """Another kind, of data that stands in another file."""

    name = FARTHEST
    data_file = "other.json"


def write_table(
    folder: Path,
    *,
    file: str = Nearest.data_file,
    rows: Sequence[Row] = ROWS,
    heldout: Sequence[Row] = HELDOUT,
) -> Path:
    """Writes a folder of data; its models are called `shapes`."""
    folder.mkdir(exist_ok=True)
    table = {"name": "shapes", "rows": rows, "heldout": heldout}
    (folder / file).write_text(json.dumps(table), encoding="utf-8")
    return folder


def _hash(rows: Sequence[Row]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
