"""What the tasks learn of the parts of their data."""

from dataclasses import replace
from pathlib import Path

from bench.quality.data import Parts
from bench.quality.tasks import TASKS
from shared.nlu.training_data import Utterance


def test_a_refitted_task_learns_its_validation_part_too_but_never_its_test_part(tmp_path: Path) -> None:
    training, validation, test = ([Utterance(text, "en", "greet")] for text in ("hi", "hello", "hey"))
    task = replace(TASKS[0], read=lambda _: Parts(training, validation, test))
    assert replace(task, refit=False).parts(tmp_path) == Parts(training, validation, test)
    assert replace(task, refit=True).parts(tmp_path) == Parts([*training, *validation], validation, test)
