"""A model's manifest and the record of its training, to write about."""

from pathlib import Path

import pytest

from services.learning.artifacts.record import TrainingRecord
from shared.nlu.manifest import ModelManifest, read_manifest
from tests.models import write_model

ENCODER = {"name": "tiny", "layers": 2, "vocabulary": 1234, "digest": "ab" * 32, "source": "a test"}
EPOCH = {"loss": 0.5, "validation_loss": 0.6, "validation_accuracy": 0.75, "validation_entity_f1": None}


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    return read_manifest(write_model(tmp_path / "home", encoder=ENCODER))


@pytest.fixture
def record() -> TrainingRecord:
    return TrainingRecord.model_validate(
        {
            "recipe": "ab12cd34",
            "settings": {"epochs": 5, "frozen_layers": 1, "seed": 7},
            "history": [{"number": 1, **EPOCH}, {"number": 2, **EPOCH, "loss": 0.25}],
            "seconds": 2.0,
            "libraries": {"torch": "2"},
            "training_utterances": 12,
            "validation_utterances": 3,
        }
    )
