"""What a teacher adds to the loss, and a student that is trained beside one."""

import copy
from pathlib import Path

import pytest
import torch

from services.learning.datasets.examples import IGNORED, Batch
from services.learning.progress import Progress
from services.learning.runs.runs import train
from services.learning.training.distillation import Teacher, teacher_settings
from shared.nlu.training_settings import Distillation, TrainingSettings
from tests.models import random_network
from tests.unit.services.learning.conftest import WriteAssistant

BATCH = Batch(
    input_ids=torch.tensor([[0, 5, 6, 2], [0, 7, 2, 0]]),
    attention_mask=torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    tags=torch.tensor([[IGNORED, 0, 1, IGNORED], [IGNORED, 0, IGNORED, IGNORED]]),
    intents=torch.tensor([[0], [1]]),
    sentiments=torch.tensor([IGNORED, 2]),
    numbers=torch.arange(2),
)


def taught(weight: float, *, changed: bool, several: bool = False) -> float:
    """The loss of a student like its teacher, or of one whose intents were turned round; by the labels it is 3."""
    model = random_network().eval()
    student = copy.deepcopy(model)
    if changed:
        student.intent_head.weight.data.neg_()
    teacher = Teacher(model, Distillation(weight=weight), several=several)
    loss = teacher.beside(lambda _outputs, _batch: torch.tensor(3.0))
    return float(loss(student(BATCH.input_ids, BATCH.attention_mask), BATCH).detach())


def test_a_student_like_its_teacher_hears_only_the_labels() -> None:
    assert taught(0.25, changed=False) == pytest.approx(0.75 * 3, abs=0.01)


@pytest.mark.parametrize("several", [False, True])
def test_another_opinion_costs(several: bool) -> None:
    assert taught(0.5, changed=True, several=several) > taught(0.5, changed=False, several=several) + 0.01


def test_only_the_student_learns() -> None:
    model, student = random_network(), random_network()
    loss = Teacher(model, Distillation(weight=1.0), several=False).beside(lambda *_: torch.tensor(0.0))
    loss(student(BATCH.input_ids, BATCH.attention_mask), BATCH).backward()  # type: ignore[no-untyped-call]
    assert student.intent_head.weight.grad is not None
    assert all(weights.grad is None for weights in model.parameters())


def test_the_teacher_is_trained_like_the_student_but_larger() -> None:
    settings = TrainingSettings(layers=6, frozen_layers=2, epochs=4, distillation=Distillation(teacher_layers=10))
    assert settings.distillation is not None
    teacher = teacher_settings(settings, settings.distillation)
    assert (teacher.layers, teacher.frozen_layers, teacher.epochs) == (10, 6, 4)
    assert teacher.distillation is None


class Stopped(Exception):
    """Stands for a process that is killed."""


@pytest.mark.long
def test_a_distilled_model_is_made_and_a_stopped_one_goes_on(write_assistant: WriteAssistant, tmp_path: Path) -> None:
    lesson = "{teacher_layers: 2, teacher_frozen_layers: 0, teacher_learning_rate: 0.001}"
    assistant = write_assistant(tmp_path / "mini", distillation=lesson)
    trained: list[str] = []

    def stop(progress: Progress) -> None:
        if progress.stage == "training" and progress.detail.startswith("best"):
            raise Stopped

    with pytest.raises(Stopped):
        train(assistant, tmp_path / "home", stop)
    [teacher] = (tmp_path / "home" / "models" / "mini").glob(".training-*/teacher-checkpoint.pt")
    before = teacher.stat().st_mtime_ns
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        trained.append(progress.stage)
        if teacher.exists():
            seen.append(teacher.stat().st_mtime_ns)

    made = train(assistant, tmp_path / "home", watch)
    assert set(seen) == {before}
    assert "training" in trained
    assert made.metrics["all"]["sentences"] == 7
