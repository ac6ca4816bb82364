"""The record of a training, of understanding and of kinds that are not known here."""

import json
from pathlib import Path

import pytest

from services.learning.artifacts.record import TrainingRecord
from shared.nlu.manifest import ModelError
from shared.nlu.training_settings import TrainingSettings

UNDERSTANDING = {
    "recipe": "ab",
    "settings": {"epochs": 3},
    "training_utterances": 12,
    "validation_utterances": 2,
    "history": [{"number": 1, "loss": 0.5, "validation_loss": 0.6, "validation_entity_f1": None}],
    "seconds": 1.5,
    "libraries": {"torch": "2"},
}


def written(folder: Path, content: object) -> Path:
    (folder / "training.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_what_a_kind_adds_is_kept(tmp_path: Path) -> None:
    record = TrainingRecord.read(written(tmp_path, UNDERSTANDING))
    assert record.sizes == {"training_utterances": 12, "validation_utterances": 2}
    record.write(tmp_path)
    assert json.loads((tmp_path / "training.json").read_text(encoding="utf-8")) == UNDERSTANDING


def test_settings_are_read_as_those_of_their_kind(tmp_path: Path) -> None:
    record = TrainingRecord.read(written(tmp_path, UNDERSTANDING))
    assert record.settings_as(TrainingSettings) == TrainingSettings(epochs=3)
    later = {**UNDERSTANDING, "settings": {"epochs": 3, "trees": 3, "out_of_scope": {"more": 1}}}
    assert TrainingRecord.read(written(tmp_path, later)).settings_as(TrainingSettings) == TrainingSettings(epochs=3)
    other = TrainingRecord.read(written(tmp_path, {**UNDERSTANDING, "settings": {"epochs": "many"}}))
    with pytest.raises(ModelError, match=r"training\.json cannot be read as TrainingSettings"):
        other.settings_as(TrainingSettings)


@pytest.mark.parametrize("content", [{}, {**UNDERSTANDING, "seconds": "long"}])
def test_a_damaged_record_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(ModelError, match=r"training\.json is missing or damaged"):
        TrainingRecord.read(written(tmp_path, content))
