"""How far what is answered has moved from what was answered after training."""

import math
from collections import Counter, deque
from collections.abc import Sequence

from services.intent.kinds.kind import Verdict
from services.intent.versions.version_metrics import drifted
from shared.nlu.golden_set import CONFIDENCE_BINS, Reference, confidence_bin

__all__ = ["WINDOW_ANSWERS", "Drift", "stability_index"]

WINDOW_ANSWERS = 1000
FEWEST_ANSWERS = 100
"""Below this the index says more about chance than about customers."""
EVERY_ANSWERS = 50
SMALLEST_SHARE = 0.001


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """The population stability index of two histograms with the same bins: 0 where their shares are equal.

    A bin counts as no less than a thousandth, so that an empty one gives no infinity.
    """
    wanted, seen = _shares(expected), _shares(found)
    return sum((b - a) * math.log(b / a) for a, b in zip(wanted, seen, strict=True))


class Drift:
    """A sliding window over the answers of one version; its indices are gauges once there are enough of them."""

    def __init__(self, model: str, version: str, reference: Reference) -> None:
        self._labels = (model, version)
        self._reference = reference
        self._window: deque[tuple[str, int]] = deque(maxlen=WINDOW_ANSWERS)
        self._new = 0

    def add(self, verdicts: Sequence[Verdict]) -> None:
        """Counts what was answered."""
        self._window.extend((each.label, confidence_bin(each.confidence)) for each in verdicts)
        self._new += len(verdicts)
        if self._new >= EVERY_ANSWERS and len(self._window) >= FEWEST_ANSWERS:
            self._new = 0
            for of, index in self.indices().items():
                drifted(*self._labels, of, index)

    def indices(self) -> dict[str, float]:
        """The stability index of the confidence and of the labels, which are the intents of a text."""
        bins = Counter(each for _, each in self._window)
        names = Counter(name for name, _ in self._window)
        known = sorted(self._reference.intents | names)
        return {
            "confidence": stability_index(self._reference.confidence, [bins[n] for n in range(CONFIDENCE_BINS)]),
            "intent": stability_index(
                [self._reference.intents.get(name, 0) for name in known], [names[name] for name in known]
            ),
        }


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts) or 1.0
    return [max(each / total, SMALLEST_SHARE) for each in counts]
