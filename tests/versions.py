"""Versions of the tiny models, registered in a real MLflow store."""

import shutil
from pathlib import Path
from typing import Any

from services.learning.artifacts.record import TrainingRecord
from services.learning.runs.tracking import Tracker
from shared.nlu.golden_set import GOLDEN, REFERENCE, GoldenSet, GoldenText, Reference
from shared.nlu.manifest import read_manifest
from shared.nlu.training_settings import TrainingSettings
from tests.kept import ROOT, digest_of, kept
from tests.models import INTENTS, describe, write_model

__all__ = ["GOLDEN_TEXTS", "RECORD", "Versions", "copied", "damage", "empty_store", "put_empty_store"]

GOLDEN_TEXTS = (
    ("快递", "track_order"),
    ("where is my parcel", "track_order"),
    ("退款", "refund"),
    ("refund my money", "refund"),
    ("你好", "greet"),
    ("hello", "greet"),
    ("雨", "out_of_scope"),
    ("football weather", "out_of_scope"),
)
MIXED_UP = ("refund", "track_order", "out_of_scope", "greet")
ENCODER = {"name": "tiny", "layers": 1, "vocabulary": 40, "digest": "0" * 64, "source": "a test"}


class Versions:
    """Model folders below a home, and what MLflow says about them."""

    def __init__(self, home: Path, uri: str = "") -> None:
        self.home = home
        self.tracker = Tracker(home, uri)

    def add(
        self,
        version: str,
        *,
        name: str = "shop",
        accuracy: float = 1.0,
        worse: bool = False,
        checked: bool = True,
        production: bool = False,
        network: bytes | None = None,
        **changes: Any,
    ) -> Path:
        """Writes a version and registers it.

        Args:
            accuracy: what it claims to get right of its golden set.
            worse: it takes every intent for another.
            checked: it has a golden set.
            network: what is in the place of the network.
            production: it is where a server starts from; so says the file, not MLflow.
        """
        if worse:
            changes["intents"] = MIXED_UP
        folder = write_model(self.home, name=name, version=version, production=production)
        if network is not None:
            (folder / "model.onnx").write_bytes(network)
        if checked:
            texts = tuple(GoldenText(text=text, intent=intent) for text, intent in GOLDEN_TEXTS)
            GoldenSet(texts=texts, accuracy=accuracy).write(folder / GOLDEN)
            Reference.of(INTENTS, [(intent, 0.999) for _, intent in GOLDEN_TEXTS * 10]).write(folder / REFERENCE)
        (folder / "manifest.json").unlink()
        describe(folder, {}, {"encoder": ENCODER, "metrics": {"all": {"intent_accuracy": accuracy}}, **changes})
        self.tracker.register(folder, read_manifest(folder), RECORD)
        return folder

    def point(self, alias: str, version: str, *, name: str = "shop", forced: bool = False) -> None:
        """Points an alias at a version."""
        self.tracker.point(name, alias, version, forced=forced)


RECORD = TrainingRecord(
    recipe="none",
    settings=TrainingSettings().model_dump(mode="json"),
    history=(),
    seconds=0.0,
    libraries={},
)


def damage(path: Path) -> None:
    """Changes a byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def empty_store() -> Path:
    """An MLflow store with its tables and nothing in them, to be copied; its migrations take seconds."""
    tracking = ROOT / "services" / "learning" / "runs" / "tracking.py"
    return kept("mlflow", digest_of(files=[tracking], packages=["mlflow-skinny"]), _make_store) / "mlflow.db"


def _make_store(home: Path) -> None:
    assert Tracker(home).versions("shop") == []


def put_empty_store(home: Path) -> None:
    """Gives a home an empty store."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(empty_store(), home / "mlflow.db")


def copied(home: Path) -> Versions:
    """Versions in a home with an empty store."""
    put_empty_store(home)
    return Versions(home)
