"""Makes a model's probabilities mean what they say, and finds from where on a text is out of scope."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.learning.prediction import rejection_scores, softmax

__all__ = ["Calibration", "calibrate"]

TEMPERATURES = np.geomspace(0.2, 5.0, 400)

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

    Scores between two neighbours do equally well, and so may several neighbours: the middle of the widest best range
    leaves most room on both sides.
    """
    inner, outer = np.sort(scores[~outside]), np.sort(scores[outside])
    edges = np.unique(np.concatenate([[0.0], scores, [1.0]]))
    middles = (edges[:-1] + edges[1:]) / 2
    found = 1.0 - np.searchsorted(outer, middles) / len(outer)
    lost = 1.0 - np.searchsorted(inner, middles) / len(inner)
    gains = found - lost
    best = np.flatnonzero(gains >= gains.max() - 1e-9)
    widest = best[np.argmax(np.diff(edges)[best])]
    return float(middles[widest])
