"""What was measured of a model, as its folder keeps it."""

import json
from pathlib import Path

import pytest

from services.learning.artifacts.metrics import Measured, Metrics, write_metrics


class Scores(Measured):
    wrong: tuple[str, ...]

    def summary(self) -> dict[str, dict[str, float]]:
        return {"all": {"mistakes": len(self.wrong)}}


def test_figures_are_read_again_and_details_are_kept(tmp_path: Path) -> None:
    write_metrics(tmp_path, Scores(heldout_hash="ab", wrong=("一", "two")))
    read = Metrics.read(tmp_path)
    assert read == Metrics(heldout_hash="ab", summary={"all": {"mistakes": 2}})
    # A count stays one, which the command line shows as JSON.
    assert isinstance(read.summary["all"]["mistakes"], int)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["wrong"] == ["一", "two"]


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"summary": {}}', '{"heldout_hash": "ab", "summary": {"all": 1}}']
)
def test_what_is_missing_or_damaged_was_not_measured(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content, encoding="utf-8")
    assert Metrics.read(tmp_path) is None
