"""Why a model chose an intent: integrated gradients (Sundararajan, Taly and Yan, 2017) over the tokens of a text.

The path goes straight from a baseline, in which every token of the text is a neutral one while those of the frame and
the prefix stay, to the text itself. A token's attribution is the integral, along that path, of the derivative of the
intent's logit in the direction in which this token alone moves.

Where the logit jumps the path is cut more finely. How well an interval is integrated is known without further cost:
what its tokens add must be what the logit changes from its one end to its other (completeness).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.nlu.tokenizer import Encoded

__all__ = ["Check", "Explanation", "GradientNetwork", "Path", "TokenAttribution", "explain_text"]

Floats = NDArray[np.float32]
Check = Callable[[], None]
"""Called between batches; raises when nobody waits for the result any more."""

SCANNED = 32
FIRST_INTERVALS = 8
MOST_INTERVALS = 64
TOLERANCE = 0.05
"""Of the difference of the scores: what the gaps of all intervals may add up to."""


@dataclass(frozen=True, slots=True)
class TokenAttribution:
    """What a token, `text[start:end]`, adds to the score."""

    text: str
    start: int
    end: int
    attribution: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The attributions to the logit of an intent.

    `score` and `baseline_score` are that logit for the text and for the baseline. Attributions and `completeness_gap`
    together are their difference; the gap is the error of the integration.
    """

    intent: str
    score: float
    baseline_score: float
    completeness_gap: float
    tokens: tuple[TokenAttribution, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """From the baseline, at 0, to a text, at 1: its token ids, the places that move, and the intent's number."""

    ids: Sequence[int]
    moved: Sequence[int]
    intent: int


class GradientNetwork(Protocol):
    """A network whose word vectors can be moved."""

    def scores(self, path: Path, positions: Floats) -> Floats:
        """The intent's logit at positions [n] of the path."""

    def changes(self, path: Path, intervals: Floats, check: Check) -> Floats:
        """How much the logit changes [n, moved] as one token passes an interval [n, 2], the others in its middle."""


def explain_text(network: GradientNetwork, encoded: Encoded, intent: int, name: str, *, check: Check) -> Explanation:
    """What each token of a text adds to the logit of the intent of this number and name.

    `check` is called between batches and may raise to give up.
    """
    path = Path(encoded.ids, [place for place, (start, end) in enumerate(encoded.spans) if end > start], intent)
    edges = _first_edges(network, path)
    scores = network.scores(path, edges)
    intervals = np.stack([edges[:-1], edges[1:]], axis=1)
    rises = np.diff(scores)
    changes = network.changes(path, intervals, check)
    while len(intervals) < MOST_INTERVALS:
        gaps = np.abs(rises - changes.sum(axis=1))
        allowed = TOLERANCE * abs(float(rises.sum()))
        if gaps.sum() <= allowed:
            break
        worst = gaps > allowed / (2 * len(intervals))
        worst &= np.argsort(np.argsort(-gaps)) < MOST_INTERVALS - len(intervals)
        if not worst.any():  # only what is no number is in no order
            break
        halves, halved_rises = _halves(network, path, intervals[worst], rises[worst])
        intervals = np.concatenate([intervals[~worst], halves])
        rises = np.concatenate([rises[~worst], halved_rises])
        changes = np.concatenate([changes[~worst], network.changes(path, halves, check)])
    attributions = changes.sum(axis=0).tolist()
    return Explanation(
        intent=name,
        score=float(scores[-1]),
        baseline_score=float(scores[0]),
        completeness_gap=float(scores[-1] - scores[0]) - sum(attributions),
        tokens=tuple(
            TokenAttribution(encoded.text[start:end], start, end, attribution)
            for (start, end), attribution in zip(
                (encoded.spans[place] for place in path.moved), attributions, strict=True
            )
        ),
    )


def _first_edges(network: GradientNetwork, path: Path) -> Floats:
    """The ends of intervals in each of which the logit changes about as much, and none of which is long."""
    positions = np.linspace(0, 1, SCANNED + 1, dtype=np.float32)
    steps = np.abs(np.diff(network.scores(path, positions)))
    way = np.cumsum(steps / max(float(steps.sum()), 1e-9) + 1 / SCANNED)
    edges: Floats = np.interp(np.linspace(0, way[-1], FIRST_INTERVALS + 1), [0, *way], positions).astype(np.float32)
    return edges


def _halves(network: GradientNetwork, path: Path, intervals: Floats, rises: Floats) -> tuple[Floats, Floats]:
    """Both halves of each interval, with how much the logit rises in them."""
    middles = intervals.mean(axis=1)
    ends = network.scores(path, np.concatenate([intervals[:, 0], middles]))
    lower = ends[len(middles) :] - ends[: len(middles)]
    halves = np.concatenate([np.stack([intervals[:, 0], middles], 1), np.stack([middles, intervals[:, 1]], 1)])
    return halves, np.concatenate([lower, rises - lower])
