"""A version and what was in production before it, as people read it."""

from pathlib import Path

import pytest

from services.learning.release.comparison import Comparison
from services.learning.release.gate import Difference

NAMES = {"accuracy": "accuracy", "f1": "entity F1"}


def difference(figure: str, low: float, high: float, *, part: str = "all") -> Difference:
    return Difference(part=part, figure=figure, candidate=0.8, production=0.85, low=low, high=high)


FOUND = Comparison(
    against="v1",
    differences=(
        difference("accuracy", -0.09, -0.01),
        difference("f1", -0.12, 0.02),
        difference("accuracy", -0.01, 0.0, part="zh"),
    ),
)


def test_what_is_worse_beyond_chance_is_named_with_its_bounds() -> None:
    assert FOUND.shortcomings(NAMES) == (
        "accuracy (all) is 0.8000, in production it is 0.8500: -5.0 (-9.0 to -1.0) points"
    )
    assert FOUND.unclear(NAMES) == "entity F1 (all)"
    assert Comparison(against="v1", differences=FOUND.differences[2:]).shortcomings(NAMES) == ""


def test_the_card_has_it_once_in_both_languages(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("# shop\n", encoding="utf-8")
    FOUND.write(tmp_path, NAMES)
    FOUND.model_copy(update={"against": "v2"}).write(tmp_path, NAMES)
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# shop\n")
    assert "v1" not in card
    assert card.count("Points above v2") == card.count("比 v2 高出的百分点") == 1
    assert "loss of 2 points in: entity F1 (all)." in card
    assert "不能排除下降 2 个百分点的指标：entity F1 (all)。" in card
    assert "| accuracy | -5.0 (-9.0 to -1.0) | -5.0 (-1.0 to +0.0) |" in card
    assert "| entity F1 | -5.0 (-12.0 to +2.0) |  |" in card


@pytest.mark.parametrize("content", [None, "", "[]", '{"against": "v1"}'])
def test_it_is_read_again_where_it_is_whole(tmp_path: Path, content: str | None) -> None:
    FOUND.write(tmp_path, NAMES)
    assert Comparison.read(tmp_path) == FOUND
    (tmp_path / "comparison.json").unlink()
    if content is not None:
        (tmp_path / "comparison.json").write_text(content, encoding="utf-8")
    assert Comparison.read(tmp_path) is None
