"""What a model answered to each held-out sentence, and its main figures on any sample of the sentences."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.learning.artifacts.metrics import Counts, Samples

__all__ = ["Judgements"]

Floats = NDArray[np.float32]


class Judgements(BaseModel):
    """A column for each thing that was judged, a place in it for each sentence.

    names: the same sentence has the same name for every model.
    outside: the place of out_of_scope among the intents.
    wanted, found: places of intents.
    scores: how far out of scope.
    entities: how many are right, were found, and are wanted.
    moods: whether the sentiment is right; None where nobody wrote it down.
    """

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...]
    languages: tuple[str, ...]
    outside: int
    wanted: tuple[int, ...]
    found: tuple[int, ...]
    scores: tuple[float, ...]
    entities: tuple[tuple[int, int, int], ...]
    moods: tuple[bool | None, ...]

    def sampled(self, counts: Counts, parts: Sequence[str], whole: str) -> Mapping[str, Mapping[str, Samples]]:
        """The figures by which versions are compared, by part; `whole` is that of all languages."""
        languages = np.array(self.languages)
        return {part: self._figures(counts, (languages == part) | (part == whole)) for part in parts}

    def _figures(self, counts: Counts, part: NDArray[np.bool_]) -> Mapping[str, Samples]:
        wanted, found = np.array(self.wanted), np.array(self.found)
        entities, right = np.array(self.entities, np.float32), (wanted == found).astype(np.float32)
        mood = np.array([-1.0 if each is None else each for each in self.moods], np.float32)
        inside, outside = part & (wanted != self.outside), part & (wanted == self.outside)
        spoken = part & (mood >= 0)
        matched, guessed, there = (counts[:, part] @ entities[part]).T
        return {
            "intent_accuracy": _mean(counts[:, inside], right[inside]),
            "intent_macro_f1": _macro_f1(counts[:, inside], wanted[inside], found[inside]),
            "out_of_scope_auroc": _auroc(counts, np.array(self.scores, np.float32), inside, outside),
            "entity_f1": _share(2 * matched, np.where(there > 0, guessed + there, 0)),
            "sentiment_accuracy": _mean(counts[:, spoken], mood[spoken]),
        }


def _share(part: Floats, whole: Floats) -> Samples:
    """NaN where there is nothing to have a share of."""
    shares: Samples = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0, dtype=np.float64)
    return shares


def _mean(counts: Counts, values: Floats) -> Samples:
    return _share(counts @ values, counts.sum(1))


def _macro_f1(counts: Counts, wanted: NDArray[np.int64], found: NDArray[np.int64]) -> Samples:
    """Over the intents of which a sample has sentences."""
    labels = np.unique(wanted)

    def of_intent(column: NDArray[np.int64]) -> Floats:
        matrix: Floats = (column[:, None] == labels).astype(np.float32)
        return matrix

    there = counts @ of_intent(wanted)
    right = counts @ (of_intent(wanted) * of_intent(found))
    f1 = 2 * right / np.maximum(there + counts @ of_intent(found), 1)
    return _share(f1.sum(1), (there > 0).sum(1).astype(np.float32))


def _auroc(counts: Counts, scores: Floats, inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> Samples:
    """How often a sentence outside has a larger score than one inside; a tie counts half."""
    within, beyond = scores[inside], scores[outside][:, None]
    above = (beyond > within) + np.float32(0.5) * (beyond == within)
    pairs = counts[:, outside].sum(1) * counts[:, inside].sum(1)
    return _share(((counts[:, outside] @ above.astype(np.float32)) * counts[:, inside]).sum(1), pairs)
