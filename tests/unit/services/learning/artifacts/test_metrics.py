"""What was measured of a model, as its folder keeps it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from services.learning.artifacts.metrics import Counts, Measured, Samples, write_metrics


class Scores(Measured):
    wrong: tuple[str, ...]

    @property
    def rows(self) -> Sequence[str]:
        return self.wrong

    def sampled(self, counts: Counts) -> Mapping[str, Mapping[str, Samples]]:
        return {"all": {"mistakes": counts.sum(1).astype(float)}}

    def summary(self) -> dict[str, dict[str, float]]:
        return {"all": {"mistakes": len(self.wrong)}}


def test_what_was_measured_is_read_again_and_its_figures_stand_beside(tmp_path: Path) -> None:
    measured = Scores(heldout_hash="ab", wrong=("一", "two"))
    write_metrics(tmp_path, measured)
    assert Scores.read(tmp_path) == measured
    # A count stays one.
    assert '"mistakes": 2\n' in (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["summary"] == {"all": {"mistakes": 2}}


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"summary": {}}', '{"heldout_hash": "ab", "summary": {"all": {"mistakes": 2}}}']
)
def test_what_is_missing_or_damaged_or_of_another_release_was_not_measured(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content, encoding="utf-8")
    assert Scores.read(tmp_path) is None
