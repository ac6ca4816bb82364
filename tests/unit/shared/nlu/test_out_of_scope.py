"""Scores of being out of scope: in [0, 1], in the order of their measures, and of the files that they need."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.nlu.out_of_scope import SCORES, Centroids, Measures, ScopeRule, Score

CENTROIDS = Centroids(np.array([[0, 0], [4, 0]], np.float32), np.diag([1, 0.5]).astype(np.float32))


def measures(logits: list[list[float]], embeddings: list[list[float]] | None = None) -> Measures:
    found = np.array(logits, np.float32)
    powers = np.exp(found - found.max(1, keepdims=True))
    return Measures(
        probabilities=powers / powers.sum(1, keepdims=True),
        logits=found,
        embeddings=np.array(embeddings or [[0, 0]] * len(logits), np.float32),
        inside=[0, 1],
        centroids=CENTROIDS,
    )


def test_each_measure_is_the_published_one() -> None:
    found = measures([[2, 0, 1], [0, 0, 3]], [[1, 0], [4, 6]])
    shares = np.exp([2, 0, 1]) / np.exp([2, 0, 1]).sum()
    assert found.raw("probability")[0] == pytest.approx(1 - shares[0], rel=1e-5)
    assert found.raw("energy") == pytest.approx([-np.log(np.exp(2) + 1), -np.log(2)], rel=1e-5)
    assert found.raw("distance") == pytest.approx([1, 3], rel=1e-5)
    assert found.raw("combined") == pytest.approx([1 - np.log(np.exp(2) + 1), 3 - np.log(2)], rel=1e-5)


@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=2, max_size=9),
    st.sampled_from(SCORES),
    st.floats(-10, 10),
    st.floats(1e-3, 10),
)
def test_a_score_keeps_the_order_of_its_measure(
    logits: list[list[float]], score: Score, middle: float, spread: float
) -> None:
    found = measures(logits, [row[:2] for row in logits])
    scores = ScopeRule(threshold=0.5, score=score, middle=middle, spread=spread).scores(found)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores[np.argsort(found.raw(score), kind="stable")]) >= 0).all()


def test_middle_and_spread_say_what_a_measure_means() -> None:
    found = measures([[-1, -50, 0], [-2, -50, 0]])
    scores = ScopeRule(threshold=0.5, score="energy", middle=1.0, spread=0.5).scores(found)
    assert scores == pytest.approx([0.5, 1 / (1 + np.exp(-2))], rel=1e-4)


def test_centroids_are_read_as_they_were_written(tmp_path: Path) -> None:
    CENTROIDS.write(tmp_path / "scope.safetensors")
    read = Centroids.read(tmp_path / "scope.safetensors")
    assert (read.centers == CENTROIDS.centers).all()
    assert (read.whitening == CENTROIDS.whitening).all()


def test_a_file_that_holds_no_centroids_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scope.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no centroids"):
        Centroids.read(path)
    Centroids(np.zeros((2, 3), np.float32), np.eye(2, dtype=np.float32)).write(path)
    with pytest.raises(ValueError, match="do not belong together"):
        Centroids.read(path)


@pytest.mark.parametrize("score", ["distance", "combined"])
def test_the_distance_needs_centroids(score: Score) -> None:
    found = Measures(np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2)), [0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs centroids"):
        found.raw(score)


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"score": "guess"}, {"spread": 0}, {"middle": float("nan")}])
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ScopeRule.model_validate({"threshold": 0.5, **wrong})
