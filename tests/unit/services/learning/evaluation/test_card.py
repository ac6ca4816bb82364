"""The model card says what a model is made of, how good it is, and where it fails."""

from pathlib import Path

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.card import write_card
from services.learning.evaluation.robustness import Drop, Robustness
from shared.nlu.manifest import ModelManifest
from tests.unit.services.learning.evaluation.scripted import evaluation


def card(folder: Path, manifest: ModelManifest, record: TrainingRecord) -> str:
    write_card(folder, manifest, record, evaluation())
    return (folder / "card.md").read_text(encoding="utf-8")


def test_what_it_is_made_of(tmp_path: Path, manifest: ModelManifest, record: TrainingRecord) -> None:
    text = card(tmp_path, manifest, record)
    assert text.startswith(f"# shop {manifest.version}\n")
    assert "entities (address, company)" in text
    assert f"tiny (a test, SHA-256 `{'ab' * 32}`)" in text
    assert "2 layers and 1,234 vocabulary pieces; the lowest 1" in text
    assert "12 utterances for training and 3 for validation" in text
    assert "2 of at most 5 epochs" in text
    assert "entities (none)" in card(tmp_path, manifest.model_copy(update={"tags": ("O",)}), record)


def test_figures_of_each_language_in_a_column_and_nothing_that_was_not_measured(
    tmp_path: Path, manifest: ModelManifest, record: TrainingRecord
) -> None:
    rows = {
        cells[0]: cells[1:]
        for line in card(tmp_path, manifest, record).splitlines()
        if line.startswith("| ") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    assert rows[""] == ["all", "en", "zh"]
    assert rows["Sentences"] == ["7", "4", "3"]
    assert rows["Intent accuracy"] == ["0.600", "0.333", "1.000"]
    assert rows["Entity F1"] == ["0.500", "0.500", ""]
    assert "… by distance" not in rows


def test_where_it_fails(tmp_path: Path, manifest: ModelManifest, record: TrainingRecord) -> None:
    assert "Weakest intents by F1: refund (0.50), greet (0.80)." in card(tmp_path, manifest, record)


def test_what_another_way_of_writing_costs_is_there_once_it_was_measured(
    tmp_path: Path, manifest: ModelManifest, record: TrainingRecord
) -> None:
    assert "written in another way" not in card(tmp_path, manifest, record)
    drop = Drop(count=40, accuracy=0.95, perturbed_accuracy=0.9, false_alarms=0.1, example=("a", "b"))
    (tmp_path / "robustness.json").write_text(Robustness(seed=1, drops={"full_width": {"all": drop}}).model_dump_json())
    assert "in another way: full width 5.0." in card(tmp_path, manifest, record)
