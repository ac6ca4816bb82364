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


def test_the_threshold_does_not_hang_on_single_texts() -> None:
    """Two texts that look inside are outside; a threshold just below them loses as many as it gains next time."""
    outside = np.array([0.04, 0.16, 0.3, 0.2, 0.96])
    rows = np.repeat([0, 1, 2, 3, 4], [200, 6, 6, 2, 40])
    wanted = np.array([0, 0, 0, OUTSIDE, OUTSIDE])[rows]
    wanted[:8] = 1
    shares = np.stack([1 - outside, outside * 0.1, outside * 0.9], axis=1)[rows]
    found = calibrate(np.log(shares).astype(np.float32), wanted, OUTSIDE)
    assert 0.3 < found.threshold < 0.9
