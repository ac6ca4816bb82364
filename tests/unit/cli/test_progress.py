"""How far a training is, in words."""

import io

import pytest
from rich.console import Console

from cli.progress import STAGES, LogLines, shown_progress
from services.learning.progress import Progress


class Clock:
    """A clock that only moves when it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_with_time_share_and_estimate_now_and_then() -> None:
    written: list[str] = []
    clock = Clock()
    lines = LogLines(written.append, clock)
    for second in range(81):
        clock.now = 100.0 + second
        lines.report(Progress(stage="training", done=4 * second, total=1000, detail=f"epoch {1 + second // 25} of 10"))
    assert len(written) == 9
    assert written[0] == "[00:00] Training: epoch 1 of 10"
    assert written[8] == "[01:20] Training: epoch 4 of 10, 32 %, about 2:50 left"


def test_each_stage_begins_with_a_line() -> None:
    written: list[str] = []
    clock = Clock()
    lines = LogLines(written.append, clock)
    lines.report(Progress(stage="encoder", done=0, total=1, detail="small"))
    lines.report(Progress(stage="export", done=0, total=1))
    clock.now += 65
    lines.report(Progress(stage="evaluation", done=0, total=1))
    assert written == [
        "[00:00] Getting the encoder: small",
        "[00:00] Exporting the model",
        "[01:05] Evaluating on held-out sentences",
    ]


def test_what_a_stopped_training_had_done_is_no_speed() -> None:
    written: list[str] = []
    clock = Clock()
    lines = LogLines(written.append, clock)
    lines.report(Progress(stage="training", done=500, total=1000))
    clock.now += 10
    lines.report(Progress(stage="training", done=550, total=1000))
    assert written == ["[00:00] Training: 50 %", "[00:10] Training: 55 %, about 1:30 left"]


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_shown_when_nothing_has_to_be_done(terminal: bool) -> None:
    file = io.StringIO()
    with shown_progress(Console(file=file, force_terminal=terminal), pytest.fail) as report:
        report(Progress(stage="cached", done=1, total=1))
    assert not any(words in file.getvalue() for words in (*STAGES.values(), "%"))


@pytest.mark.parametrize("terminal", [True, False])
def test_work_is_prepared_once_and_shown(terminal: bool) -> None:
    file = io.StringIO()
    prepared: list[bool] = []
    with shown_progress(
        Console(file=file, force_terminal=terminal, width=120), lambda: prepared.append(True)
    ) as report:
        report(Progress(stage="encoder", done=1, total=1, detail="small"))
        report(Progress(stage="training", done=1, total=4, detail="epoch 1 of 2"))
    assert prepared == [True]
    assert "Getting the encoder" in file.getvalue()
    assert "epoch 1 of 2" in file.getvalue()
    assert "25" in file.getvalue()
