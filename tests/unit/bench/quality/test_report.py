"""What the benchmark says of its figures, and of data that it does not have."""

from pathlib import Path

import pytest
from rich.console import Console

from bench.quality.__main__ import main
from bench.quality.report import Outcome, draw, read_outcomes, show, write_outcome
from bench.quality.tasks import TASKS


def outcome(task: str, **figures: float) -> Outcome:
    [settings] = [each.settings for each in TASKS if each.name == task]
    values = {name.replace("_", " "): (value, value) for name, value in figures.items()}
    return Outcome(
        task=task, seeds=(1, 2), figures=values, settings=settings, training=9, validation=1, test=5, seconds=1.0
    )


def test_every_figure_stands_beside_its_goal_and_what_was_published(tmp_path: Path) -> None:
    write_outcome(tmp_path, outcome("waimai", accuracy=91.0))
    write_outcome(tmp_path, outcome("banking77", accuracy=93.0))
    outcomes = read_outcomes(tmp_path)
    assert [each.task for each in outcomes] == ["banking77", "waimai"]
    console = Console(width=200)
    with console.capture() as printed:
        show(outcomes, console)
    rows = printed.get().splitlines()
    [missed] = [row for row in rows if "BANKING77" in row and "accuracy" in row]
    assert all(part in missed for part in ("93.00", "93.70", "no", "93.66", "BERT"))
    [reached] = [row for row in rows if "waimai_10k" in row and "accuracy" in row]
    assert "yes" in reached
    draw(outcomes, tmp_path / "quality.png")
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")


def test_says_which_data_is_missing_and_where_it_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--tasks", "snips", "--out", str(tmp_path / "out")]
    monkeypatch.delenv("ZHIYIN_DATA", raising=False)
    assert main(words) == 2
    assert "ZHIYIN_DATA names no folder" in capsys.readouterr().out
    monkeypatch.setenv("ZHIYIN_DATA", str(tmp_path))
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "SNIPS skipped" in said
    assert "JointBERT" in said
