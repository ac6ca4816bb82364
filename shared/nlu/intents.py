"""From logits to the intents that a text expresses, defined once for training and serving."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_threshold", "expressed_intents", "intent_probabilities"]

THRESHOLDS = np.linspace(0.05, 0.95, 91)

Floats = NDArray[np.float32]


def intent_probabilities(logits: Floats, temperature: float, *, several: bool) -> Floats:
    """Calibrated probabilities of `logits` [texts, intents]: one distribution a text, or each intent by itself."""
    scaled = logits / np.float32(temperature)
    if several:
        return np.asarray(0.5 + 0.5 * np.tanh(scaled / 2), np.float32)
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def expressed_intents(probabilities: Floats, inside: Sequence[int], threshold: float | None) -> list[int]:
    """The intents that one text expresses, the surest first: those in scope (`inside`) from `threshold` on.

    Without a threshold, and where none reaches it, it is the surest of all.
    """
    surest = int(probabilities.argmax())
    if threshold is None:
        return [surest]
    found = [number for number in inside if probabilities[number] >= threshold]
    return sorted(found, key=lambda number: (-probabilities[number], number)) or [surest]


def best_threshold(probabilities: Floats, wanted: NDArray[np.bool_]) -> float:
    """The threshold with the best F1 over all pairs of text and intent; both are [texts, intents]."""

    def f1(threshold: float) -> float:
        found = probabilities >= threshold
        return float(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))

    return round(float(max(THRESHOLDS, key=f1)), 2)
