"""Temperature and threshold: found where the data puts them."""

import numpy as np
import pytest

from services.learning.calibration import calibrate

OUTSIDE = 2


def labelled(sharpness: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `sharpness` times what the labels, drawn from them, deserve."""
    draw = np.random.default_rng(5)
    logits = draw.normal(scale=2.0, size=(count, 3)).astype(np.float32)
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([draw.choice(3, p=row / row.sum()) for row in odds.astype(float)])
    return logits * np.float32(sharpness), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_too_much_or_too_little_certainty(sharpness: float) -> None:
    assert calibrate(*labelled(sharpness), OUTSIDE).temperature == pytest.approx(sharpness, rel=0.15)


def test_the_threshold_parts_what_is_inside_from_what_is_outside() -> None:
    logits = np.array([[4, 0, 0], [0, 4, 0], [4, 1, 0], [0, 0, 4], [1, 0, 3]], np.float32)
    found = calibrate(np.repeat(logits, 5, axis=0), np.repeat([0, 1, 0, 2, 2], 5), OUTSIDE)
    assert 0.2 < found.threshold < 0.8
