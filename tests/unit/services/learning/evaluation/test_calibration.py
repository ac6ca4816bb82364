"""Temperature, score and threshold: found where the data puts them."""

import numpy as np
import pytest

from services.learning.evaluation.calibration import Answers, Calibration, calibrate, find_centroids, find_temperature
from shared.nlu.training_settings import OutOfScopeSettings

OUTSIDE = 2


def labelled(sharpness: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `sharpness` times what the labels, drawn from them, deserve."""
    draw = np.random.default_rng(5)
    logits = draw.normal(scale=2.0, size=(count, 3)).astype(np.float32)
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([draw.choice(3, p=row / row.sum()) for row in odds.astype(float)])
    return logits * np.float32(sharpness), labels


def told_by(where: str, settings: OutOfScopeSettings, count: int = 400) -> Calibration:
    """Calibrated on texts whose out-of-scope ones differ in nothing but their `where`: logits or embeddings."""
    draw = np.random.default_rng(7)
    intents = np.repeat([0, 1, OUTSIDE], count)
    places = np.array([[4.0, 0.0], [0.0, 4.0], [8.0, 8.0] if where == "embeddings" else [4.0, 0.0]])
    embeddings = (places[intents] + draw.normal(size=(len(intents), 2))).astype(np.float32)
    sharp = np.array([[6.0, 0, 0], [0, 6.0, 0], [0, 0, 3.0] if where == "logits" else [6.0, 0, 0]])
    logits = (sharp[intents] + draw.normal(size=(len(intents), 3))).astype(np.float32)
    answers = Answers(logits, embeddings, intents)
    return calibrate(answers, OUTSIDE, settings, find_centroids(answers, OUTSIDE))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_too_much_or_too_little_certainty(sharpness: float) -> None:
    assert find_temperature(*labelled(sharpness)) == pytest.approx(sharpness, rel=0.15)


@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_several_intents_of_a_text_are_calibrated_each_by_itself(sharpness: float) -> None:
    draw = np.random.default_rng(6)
    logits = draw.normal(scale=2.0, size=(4000, 3)).astype(np.float32)
    expressed = draw.random((4000, 3)) < 1 / (1 + np.exp(-logits))
    assert find_temperature(logits * np.float32(sharpness), expressed) == pytest.approx(sharpness, rel=0.15)


@pytest.mark.parametrize(("where", "score"), [("logits", "probability"), ("embeddings", "distance")])
def test_the_score_that_tells_best_is_taken(where: str, score: str) -> None:
    found = told_by(where, OutOfScopeSettings())
    assert found.rule.score == score
    assert found.aurocs[found.rule.score] > 0.95
    assert set(found.aurocs) == {"probability", "energy", "distance", "combined"}


def test_a_score_that_was_asked_for_is_taken() -> None:
    found = told_by("embeddings", OutOfScopeSettings(score="energy"))
    assert found.rule.score == "energy"
    assert found.aurocs["energy"] < 0.7
    assert told_by("logits", OutOfScopeSettings(score="combined")).rule.score == "combined"


def test_without_centroids_the_distance_is_left_out() -> None:
    logits, labels = labelled(1.0, 300)
    found = calibrate(Answers(logits, logits, labels), OUTSIDE, OutOfScopeSettings())
    assert set(found.aurocs) == {"probability", "energy"}


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_threshold_lets_the_stated_share_through(share: float) -> None:
    """Scores of texts from outside have log-odds from -3 to 3, each as often."""
    odds = np.linspace(-3, 3, 600)
    outside = 1 / (1 + np.exp(-odds))
    shares = np.stack([1 - outside, np.zeros(600), outside], axis=1)
    logits = np.log(np.vstack([shares, [[0.999, 0.0005, 0.0005]] * 600]) + 1e-9).astype(np.float32)
    answers = Answers(logits, logits, np.repeat([OUTSIDE, 0], 600))
    settings = OutOfScopeSettings(score="probability", false_accept=share)
    found = calibrate(answers, OUTSIDE, settings)
    found_temperature_scores = 1 - np.exp(logits / found.temperature)[:600, 0] / np.exp(logits / found.temperature)[
        :600
    ].sum(1)
    assert (found_temperature_scores < found.rule.threshold).mean() == pytest.approx(share, abs=0.04)
    assert found.rule.false_accept == share


def test_the_threshold_does_not_hang_on_single_texts() -> None:
    """Moving one of many texts from outside hardly moves the threshold."""

    def threshold(strange: float) -> float:
        outside = np.concatenate([np.full(39, 0.9), [strange], np.full(60, 0.02)])
        shares = np.stack([1 - outside, outside * 0.05, outside * 0.95], axis=1)
        answers = Answers(
            np.log(shares).astype(np.float32), shares.astype(np.float32), np.repeat([OUTSIDE, 0], [40, 60])
        )
        return calibrate(answers, OUTSIDE, OutOfScopeSettings(score="probability")).rule.threshold

    assert abs(threshold(0.85) - threshold(0.1)) < 0.3
