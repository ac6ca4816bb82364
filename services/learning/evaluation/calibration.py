"""Makes a model's probabilities mean what they say, and finds from where on a text is out of scope."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.nlu.intents import intent_probabilities
from shared.nlu.out_of_scope import NEED_CENTROIDS, SCORES, Centroids, Measures, ScopeRule, Score
from shared.nlu.training_settings import OutOfScopeSettings

__all__ = ["Answers", "Calibration", "calibrate", "find_centroids", "find_temperature"]

TEMPERATURES = np.geomspace(0.2, 5.0, 400)
LOG_ODDS = np.linspace(-4.6, 4.6, 921)
SPREAD = 0.15  # of a text's log-odds, so that the threshold moves little when single texts do
APART = 8.0  # log-odds between the typical text inside and the typical one outside, for scores without bounds
AUTOMATIC: tuple[Score, ...] = ("probability", "energy", "distance")
MARGIN = 0.002  # of AUROC: what another score must be better than the probability, which people can read

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What a model computed of texts: `logits` [texts, intents], `embeddings` [texts, width]; the right `intents`.

    `expressed` [texts, intents] has them all, where a text may have several.
    """

    logits: Floats
    embeddings: Floats
    intents: Integers
    expressed: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Calibration:
    """What divides the logits, what is out of scope, and how well each score separated it in validation (AUROC)."""

    temperature: float
    rule: ScopeRule
    aurocs: Mapping[Score, float]


def calibrate(
    validation: Answers,
    out_of_scope: int,
    settings: OutOfScopeSettings,
    centroids: Centroids | None = None,
    *,
    several: bool = False,
) -> Calibration:
    """Fits the temperature, chooses the score and sets its threshold on validation utterances.

    What needs a distance is left out where there are no `centroids`. With `several` each intent is calibrated by
    itself.
    """
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    wanted = validation.expressed if several and validation.expressed is not None else validation.intents
    temperature = round(find_temperature(validation.logits, wanted), 4)
    outside = validation.intents == out_of_scope
    measures = Measures(
        probabilities=intent_probabilities(validation.logits, temperature, several=several),
        logits=validation.logits,
        embeddings=validation.embeddings,
        inside=[number for number in range(validation.logits.shape[1]) if number != out_of_scope],
        centroids=centroids,
    )
    known = [score for score in SCORES if score not in NEED_CENTROIDS or centroids is not None]
    aurocs: dict[Score, float] = {score: float(roc_auc_score(outside, measures.raw(score))) for score in known}
    score = settings.score if settings.score != "auto" else _best(aurocs)
    middle, spread = (0.0, 1.0) if score == "probability" else _place(measures.raw(score), outside)
    rule = ScopeRule(threshold=0.5, score=score, middle=middle, spread=spread, false_accept=settings.false_accept)
    threshold = _threshold(rule.scores(measures)[outside], settings.false_accept)
    return Calibration(temperature, rule.model_copy(update={"threshold": round(threshold, 4)}), aurocs)


def find_temperature(logits: Floats, wanted: Integers | NDArray[np.bool_]) -> float:
    """What the logits have to be divided by to surprise least (Guo et al. 2017).

    `wanted` is the right intent of each text, or [texts, intents] which of them it expresses.
    """
    return float(min(TEMPERATURES, key=lambda t: _surprise(logits / t, wanted)))


def find_centroids(training: Answers, out_of_scope: int) -> Centroids:
    """The means of the intents in scope, and what makes the spread around them the same in all directions."""
    from sklearn.covariance import ledoit_wolf  # type: ignore[import-untyped]

    inside = [number for number in np.unique(training.intents) if number != out_of_scope]
    means = np.stack([training.embeddings[training.intents == number].mean(0) for number in inside])
    kept = np.isin(training.intents, inside)
    around = training.embeddings[kept] - means[np.searchsorted(inside, training.intents[kept])]
    covariance, _shrinkage = ledoit_wolf(around.astype(np.float64), assume_centered=True)
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return Centroids(np.asarray(means @ whitening, np.float32), np.asarray(whitening, np.float32))


def _surprise(logits: Floats, wanted: Integers | NDArray[np.bool_]) -> float:
    """The mean negative log-likelihood of the right intents."""
    if wanted.ndim == 2:
        return float(np.logaddexp(0, np.where(wanted, -logits, logits)).sum(1).mean())
    shifted = logits - logits.max(-1, keepdims=True)
    likelihoods = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return float(-likelihoods[np.arange(len(wanted)), wanted].mean())


def _best(aurocs: Mapping[Score, float]) -> Score:
    best = max((score for score in AUTOMATIC if score in aurocs), key=lambda score: aurocs[score])
    return best if aurocs[best] > aurocs["probability"] + MARGIN else "probability"


def _place(raw: Floats, outside: NDArray[np.bool_]) -> tuple[float, float]:
    """Puts 0.5 halfway between the typical text inside and the typical one outside."""
    low, high = float(np.median(raw[~outside])), float(np.median(raw[outside]))
    return round((low + high) / 2, 6), round(max((high - low) / APART, 1e-3), 6)


def _threshold(scores: Floats, false_accept: float) -> float:
    """The largest threshold that lets no more than `false_accept` of what is outside through.

    Each text counts as spread a little around where it was found: otherwise a few texts would decide alone.
    """
    bounded = np.clip(scores.astype(np.float64), 0.01, 0.99)
    found = np.log(bounded / (1 - bounded))
    accepted = 1 - (1 / (1 + np.exp((LOG_ODDS[:, None] - found) / SPREAD))).mean(1)
    best = LOG_ODDS[accepted <= false_accept].max(initial=LOG_ODDS[0])
    return float(1 / (1 + np.exp(-best)))
