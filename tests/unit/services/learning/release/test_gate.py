"""Equal candidates pass, worse ones do not, and what chance alone explains decides nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from services.learning.artifacts.metrics import Counts, Measured, Samples
from services.learning.release.gate import Difference, compare

SENTENCES = 828
PARTS = {"all": (0, 1), "zh": (0,), "en": (1,)}
COMPARED = ("accuracy",)


class Answers(Measured):
    """Whether each row was answered rightly; even rows are Chinese, odd ones English."""

    heldout_hash: str = "h"
    names: tuple[int, ...]
    right: tuple[bool, ...]

    @property
    def rows(self) -> Sequence[str]:
        return [str(name) for name in self.names]

    def summary(self) -> dict[str, dict[str, float]]:
        return {"all": {"accuracy": float(np.mean(self.right))}}

    def sampled(self, counts: Counts) -> Mapping[str, Mapping[str, Samples]]:
        right, odd = np.array(self.right, np.float32), np.array(self.names) % 2
        found = {}
        for part, languages in PARTS.items():
            counted = counts * np.isin(odd, languages)
            with np.errstate(invalid="ignore"):
                found[part] = {"accuracy": np.asarray(counted @ right / counted.sum(1), np.float64)}
        return found


def answers(right: Sequence[bool] | NDArray[np.bool_], first: int = 0) -> Answers:
    return Answers(names=tuple(range(first, first + len(right))), right=tuple(map(bool, right)))


def whole(candidate: Answers, production: Answers) -> Difference:
    [found] = [each for each in compare(candidate, production, COMPARED) if each.part == "all"]
    return found


def split(rows: int, *, gained: int = 0, lost: int = 0) -> tuple[Answers, Answers]:
    """A candidate and production that differ in so many rows, all at the beginning."""
    places = np.arange(rows)
    return answers(places >= lost), answers((places < lost) | (places >= lost + gained))


def held_back(worse: float, seeds: range) -> float:
    """The share of simulated candidates that are; one in twenty sentences is answered otherwise than by production.

    Args:
        worse: by what share of the sentences candidates are truly worse.
    """
    held = 0
    for seed in seeds:
        draw = np.random.default_rng(seed).random(SENTENCES)
        lost, differ, neither = draw < (0.05 + worse) / 2, draw < 0.05, draw > 0.97
        found = compare(answers(~lost & ~neither), answers((lost | ~differ) & ~neither), COMPARED)
        held += any(each.worse for each in found)
    return held / len(seeds)


@pytest.mark.parametrize(
    "seeds",
    [range(8), pytest.param(range(1000, 1200), marks=[pytest.mark.long, pytest.mark.budget(120, "400 pairs")])],
)
def test_equal_candidates_pass_and_worse_ones_are_held_back(seeds: range) -> None:
    assert held_back(0.0, seeds) <= 0.05
    assert held_back(0.04, seeds) >= 0.95


def test_the_difference_lies_between_its_bounds_which_are_always_the_same() -> None:
    found = whole(*split(400, gained=6, lost=10))
    assert found.candidate - found.production == pytest.approx(-0.01)
    assert -0.05 < found.low < -0.01 < 0 < found.high < 0.03
    assert whole(*split(400, gained=6, lost=10)) == found


def test_more_rows_narrow_the_bounds() -> None:
    few, many = whole(*split(100, gained=3, lost=3)), whole(*split(900, gained=27, lost=27))
    assert many.high - many.low < (few.high - few.low) / 2


def test_what_is_lost_in_one_language_alone_is_seen() -> None:
    odd = np.arange(800) % 2 == 1
    lost = odd & (np.arange(800) < 60)
    found = {each.part: each.worse for each in compare(answers(~lost), answers(np.ones(800, bool)), COMPARED)}
    assert found == {"all": True, "zh": False, "en": True}


@pytest.mark.parametrize("rows", [1, 2, 20, 400])
def test_the_same_answers_are_no_difference(rows: int) -> None:
    found = whole(*split(rows))
    assert (found.low, found.high, found.worse, found.unclear) == (0, 0, False, False)


@pytest.mark.parametrize("rows", [1, 20, 400])
def test_a_row_or_two_decide_nothing(rows: int) -> None:
    assert not any(whole(*split(rows, lost=lost)).worse for lost in range(1, min(rows, 3)))


def test_a_few_that_are_all_lost_are_enough() -> None:
    assert whole(*split(400, lost=10)).worse
    assert whole(*split(8, lost=8)).worse


def test_too_few_rows_to_rule_out_a_loss_are_told() -> None:
    assert whole(*split(60, gained=3, lost=3)).unclear
    assert not whole(*split(900, gained=4, lost=4)).unclear
    assert not whole(*split(60, lost=40)).unclear, "that is worse"


def test_only_rows_of_both_count() -> None:
    candidate, production = answers([True] * 40), answers([False] * 20 + [True] * 20, first=20)
    assert whole(candidate, production).candidate == 1.0
    assert whole(candidate, production).production == 0.0
    assert whole(production, candidate).worse
    assert compare(answers([True] * 3), answers([True] * 3, first=3), COMPARED) == []


def test_a_part_without_rows_and_a_figure_that_is_not_known_are_not_compared() -> None:
    even = Answers(names=(0, 2, 4), right=(True, True, False))
    assert [each.part for each in compare(even, even, (*COMPARED, "seconds"))] == ["all", "zh"]


def test_points_are_told_with_their_bounds() -> None:
    found = Difference(part="all", figure="f1", candidate=0.904, production=0.9, low=-0.0123, high=0.02)
    assert found.points == "+0.4 (-1.2 to +2.0)"
