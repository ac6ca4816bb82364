"""How fast a library is gets found out in another process, whose failure is told and takes nothing along."""

import sys
from pathlib import Path

import pytest

from shared.nlu.engines import autotune
from shared.nlu.engines.autotune import Question, TrialFailed, hold
from shared.nlu.engines.runtime import Library, Precision
from tests.models import write_model

PROBES = ((5, 6), (7,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path)


def question(folder: Path, library: Library = "onnxruntime", precision: Precision = "auto") -> Question:
    return Question(folder=folder, library=library, precision=precision, streams=1, padding_id=1, probes=PROBES)


def test_a_trial_is_held_in_a_process_of_its_own(folder: Path) -> None:
    found = hold(question(folder))
    assert found.precision == "f32"
    assert found.texts_per_second > 0


def test_a_trial_that_fails_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrialFailed, match="ONNX Runtime computes in f32 and int8"):
        hold(question(folder, precision="bf16"))
    monkeypatch.setattr(autotune, "SECONDS", 0.001)
    with pytest.raises(TrialFailed, match="took longer"):
        hold(question(folder))


@pytest.mark.parametrize(
    ("program", "why"),
    [("false", "^ended with exit code 1$"), ("true", "^ended with exit code 0$"), ("/no/such/python", "No such file")],
)
def test_a_process_that_ends_without_an_answer_is_a_failure(
    tmp_path: Path, program: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(TrialFailed, match=why):
        hold(question(tmp_path))


def test_a_folder_that_is_no_model_fails_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match=r"manifest\.json cannot be read"):
        hold(question(tmp_path))
