"""The report is one page that needs nothing beside it, and shows what customers wrote as they wrote it."""

import re
from pathlib import Path

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.evaluator import Evaluation
from services.learning.evaluation.report import write_report
from services.learning.evaluation.robustness import Drop, Robustness
from shared.nlu.manifest import ModelManifest
from tests.unit.services.learning.evaluation.scripted import evaluation


def page(folder: Path, manifest: ModelManifest, record: TrainingRecord, found: Evaluation) -> str:
    write_report(folder, manifest, record, found)
    assert [each.name for each in (folder / "report").iterdir()] == ["index.html"]
    return (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_a_page_that_needs_nothing_else(tmp_path: Path, manifest: ModelManifest, record: TrainingRecord) -> None:
    found = evaluation()
    hostile = found.mistakes[0].model_copy(update={"text": "<script>alert(1)</script> “退款”"})
    text = page(tmp_path, manifest, record, found.model_copy(update={"mistakes": (hostile, *found.mistakes[1:])}))
    pictures = re.findall(r'<img[^>]* src="([^"]{30})', text)
    assert len(pictures) == 5
    assert all(each.startswith("data:image/png;base64,iVBORw0K") for each in pictures), "each is a PNG"
    assert "http" not in text
    assert manifest.version in text
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; “退款”" in text


def test_what_another_way_of_writing_costs_is_there_once_it_was_measured(
    tmp_path: Path, manifest: ModelManifest, record: TrainingRecord
) -> None:
    assert "97.5" not in page(tmp_path, manifest, record, evaluation())
    drop = Drop(count=40, accuracy=0.975, perturbed_accuracy=0.9, false_alarms=0.1, example=("before", "<after>"))
    found = Robustness(seed=1, drops={"typos": {"all": drop, "zh": drop}})
    (tmp_path / "robustness.json").write_text(found.model_dump_json())
    text = page(tmp_path, manifest, record, evaluation())
    assert "97.5" in text
    assert text.count('<td class="number low">7.5</td>') == 2, "more than the goal allows, in all and in Chinese"
    assert "&lt;after&gt;" in text
