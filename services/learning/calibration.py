"""Makes a model's probabilities mean what they say, and finds from where on a text is out of scope."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.learning.prediction import rejection_scores, softmax

__all__ = ["Calibration", "calibrate"]

TEMPERATURES = np.geomspace(0.2, 5.0, 400)
LOG_ODDS = np.linspace(-4.6, 4.6, 921)
SPREAD = 0.4  # of a text's log-odds from training to training: a standard deviation of 0.7, as measured on the demo

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """What divides the logits, and the score from which a text is out of scope."""

    temperature: float
    threshold: float


def calibrate(logits: Floats, wanted: Integers, out_of_scope: int) -> Calibration:
    """Fits both on validation utterances: `logits` [texts, intents], `wanted` the right intent of each."""
    temperature = float(min(TEMPERATURES, key=lambda t: _surprise(logits / t, wanted)))
    scores = rejection_scores(softmax(np.asarray(logits / temperature, np.float32)), out_of_scope)
    return Calibration(round(temperature, 4), round(_threshold(scores, wanted == out_of_scope), 4))


def _surprise(logits: Floats, wanted: Integers) -> float:
    """The mean negative log-likelihood of the right intents."""
    shifted = logits - logits.max(-1, keepdims=True)
    likelihoods = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return float(-likelihoods[np.arange(len(wanted)), wanted].mean())


def _threshold(scores: Floats, outside: NDArray[np.bool_]) -> float:
    """Where most of what is outside is found and least of what is inside is lost (Youden's J).

    A text scores differently after another training, so each counts as spread around where it was found this time:
    otherwise a few texts between the many on both sides would decide alone.
    """
    bounded = np.clip(scores.astype(np.float64), 0.01, 0.99)
    found = np.log(bounded / (1 - bounded))
    above = 1 / (1 + np.exp((LOG_ODDS[:, None] - found) / SPREAD))
    best = LOG_ODDS[(above[:, outside].mean(1) - above[:, ~outside].mean(1)).argmax()]
    return float(1 / (1 + np.exp(-best)))
