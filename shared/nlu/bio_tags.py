"""BIO tags to entity spans: the best sequence of tags in which every inside follows its beginning."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["OUTSIDE", "TagDecoder", "TaggedSpan", "bio_tags"]

OUTSIDE = "O"

Floats = NDArray[np.float32]
FORBIDDEN = np.float32(-1e9)


def bio_tags(names: Iterable[str]) -> tuple[str, ...]:
    """Every tag that entities of these names need: outside, and the beginning and inside of each."""
    return (OUTSIDE, *(f"{mark}-{name}" for name in names for mark in "BI"))


@dataclass(frozen=True, slots=True)
class TaggedSpan:
    """An entity that the model sees, in characters; confidence is the mean probability of its tags."""

    name: str
    start: int
    end: int
    confidence: float


class TagDecoder:
    """Decodes the tags of one model: an inside follows its beginning."""

    def __init__(self, tags: Sequence[str], neighbours: Collection[str] | None = None) -> None:
        """Args:
        neighbours: the kinds of entity of which one may begin at the token after another of its kind; None: all may.
            A model that is unsure in the middle of a name begins another there, which this keeps it from.
        """
        self._tags = tuple(tags)
        self._neighbours = neighbours
        self._outside = self._tags.index(OUTSIDE)
        self._allowed = np.array([[self._may_follow(a, b) for b in tags] for a in tags])
        self._transitions = np.where(self._allowed, np.float32(0), FORBIDDEN)
        self._first = np.where([not tag.startswith("I-") for tag in tags], np.float32(0), FORBIDDEN)

    def _may_follow(self, before: str, tag: str) -> bool:
        goes_on = before != OUTSIDE and before[2:] == tag[2:]
        if tag.startswith("I-"):
            return goes_on
        return not goes_on or self._neighbours is None or tag[2:] in self._neighbours

    def decode(self, logits: Floats, spans: Sequence[tuple[int, int]]) -> list[TaggedSpan]:
        """The entities in one text, from its tokens' logits [tokens, tags] and their places in it."""
        tokens = [number for number, (start, end) in enumerate(spans) if end > start]
        logits = logits[tokens]
        best = logits.argmax(axis=1)
        if not tokens or (best == self._outside).all():
            return []
        scores = _log_softmax(logits)
        path = best.tolist() if self._valid(best) else self._viterbi(scores)
        return self._collect(path, np.exp(scores), [spans[token] for token in tokens])

    def _valid(self, path: NDArray[np.intp]) -> bool:
        return self._first[path[0]] == 0 and bool(self._allowed[path[:-1], path[1:]].all())

    def _viterbi(self, scores: Floats) -> list[int]:
        total = scores[0] + self._first
        back = np.empty((len(scores) - 1, len(self._tags)), dtype=np.intp)
        for step, score in enumerate(scores[1:]):
            candidates = total[:, None] + self._transitions
            back[step] = candidates.argmax(axis=0)
            total = candidates.max(axis=0) + score
        path = [int(total.argmax())]
        for pointers in back[::-1]:
            path.append(int(pointers[path[-1]]))
        return path[::-1]

    def _collect(
        self, path: Sequence[int], probabilities: Floats, spans: Sequence[tuple[int, int]]
    ) -> list[TaggedSpan]:
        found: list[TaggedSpan] = []
        token = 0
        while token < len(path):
            first, tag = token, self._tags[path[token]]
            token += 1
            if tag == OUTSIDE:
                continue
            while token < len(path) and self._tags[path[token]] == f"I-{tag[2:]}":
                token += 1
            sure = float(np.mean([probabilities[number, path[number]] for number in range(first, token)]))
            # Pieces of one character share its place; two entities must not.
            start = max(spans[first][0], found[-1].end if found else 0)
            if start < (end := spans[token - 1][1]):
                found.append(TaggedSpan(tag[2:], start, end, min(sure, 1.0)))
        return found


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
