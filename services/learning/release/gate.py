"""Whether a candidate may take the place of what is in production: not where it is worse beyond chance.

Both are judged on the same held-out rows. These are drawn again and again, with replacement, and each sample gives the
difference of both in every figure (a paired bootstrap). How far the differences spread is how much of one is chance.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.learning.artifacts.metrics import Counts, Measured, Samples

__all__ = ["LEVEL", "TOLERATED", "Difference", "compare"]

LEVEL = 0.95
"""How sure an upper bound is, for all figures and parts together: equal candidates pass at least so often."""
TOLERATED = 0.02
"""A loss that a lower bound should rule out; where it does not, people are told that there are too few rows to say."""
SAMPLES = 2000
SEED = 20
CHUNK = 500


class Difference(BaseModel):
    """How a candidate and production do in a figure of a part, by the rows that both were judged on.

    Chance leaves what lies between `low` and `high` of `candidate` less `production`; each bound holds for all figures
    and parts together at the level of the gate.
    """

    model_config = ConfigDict(frozen=True)

    part: str
    figure: str
    candidate: float
    production: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Whether the candidate is worse, and not by chance alone."""
        return self.high < 0

    @property
    def unclear(self) -> bool:
        """Whether there are too few rows to rule out a loss that would matter."""
        return not self.worse and self.low < -TOLERATED

    @property
    def points(self) -> str:
        """The difference with its bounds: `+0.4 (-1.2 to +1.9)`."""
        gained, low, high = (100 * each for each in (self.candidate - self.production, self.low, self.high))
        return f"{gained:+.1f} ({low:+.1f} to {high:+.1f})"


def compare(candidate: Measured, production: Measured, compared: Iterable[str]) -> list[Difference]:
    """The differences in the figures that count, in which high is good; none where no row was judged of both.

    The same two always have the same bounds.
    """
    pair = _Pair.of(candidate, production, tuple(compared))
    rows = len(pair.places[0])
    if not rows:
        return []
    known, whole = pair.figures(np.ones((1, rows), np.float32))
    seen = ~np.isnan(whole).any((0, 1))
    gained = (whole[0] - whole[1])[0]
    draw = np.random.default_rng(SEED)
    sampled = pair.differences(_drawn(draw, rows) for _ in range(SAMPLES // CHUNK))
    without = pair.differences(_one_left_out(rows))
    low, high = _bounds(sampled[:, seen])
    # One row alone must not decide: as far as one moves the difference, the bounds are moved too.
    low += np.minimum(without[:, seen].min(0) - gained[seen], 0)
    high += np.maximum(without[:, seen].max(0) - gained[seen], 0)
    return [
        Difference(
            part=part,
            figure=figure,
            candidate=float(whole[0, 0, place]),
            production=float(whole[1, 0, place]),
            low=float(below),
            high=float(above),
        )
        for place, below, above in zip(np.flatnonzero(seen), low, high, strict=True)
        for part, figure in (known[place],)
    ]


@dataclass(frozen=True)
class _Pair:
    """Candidate and production, and where each has the rows that both were judged on."""

    measured: tuple[Measured, Measured]
    places: tuple[NDArray[np.int64], NDArray[np.int64]]
    compared: tuple[str, ...]

    @classmethod
    def of(cls, candidate: Measured, production: Measured, compared: tuple[str, ...]) -> "_Pair":
        mine, theirs = ({name: place for place, name in enumerate(each.rows)} for each in (candidate, production))
        shared = [name for name in mine if name in theirs]
        places = np.array([mine[name] for name in shared], int), np.array([theirs[name] for name in shared], int)
        return cls((candidate, production), places, compared)

    def figures(self, counts: Counts) -> tuple[list[tuple[str, str]], Samples]:
        """Part and name of each figure; [side, sample, figure] what it is."""
        sides = [
            measured.sampled(_among(len(measured.rows), places, counts))
            for measured, places in zip(self.measured, self.places, strict=True)
        ]
        known = [
            (part, figure)
            for part in sides[0]
            for figure in self.compared
            if all(figure in each.get(part, ()) for each in sides)
        ]
        return known, np.stack([np.stack([side[part][figure] for part, figure in known], -1) for side in sides])

    def differences(self, samples: Iterable[Counts]) -> Samples:
        """[sample, figure]; none where a sample has no row that a figure is about."""
        found = (self.figures(counts)[1] for counts in samples)
        return np.concatenate([np.nan_to_num(mine - theirs) for mine, theirs in found])


def _among(rows: int, places: NDArray[np.int64], counts: Counts) -> Counts:
    """The counts of some rows as counts of all."""
    every = np.zeros((len(counts), rows), np.float32)
    every[:, places] = counts
    return every


def _drawn(draw: np.random.Generator, rows: int) -> Counts:
    """How often each row is among as many that were drawn with replacement; [sample, row]."""
    chosen = draw.integers(rows, size=(CHUNK, rows)) + rows * np.arange(CHUNK)[:, None]
    return np.bincount(chosen.ravel(), minlength=CHUNK * rows).reshape(CHUNK, rows).astype(np.float32)


def _one_left_out(rows: int) -> Iterator[Counts]:
    for first in range(0, rows, CHUNK):
        yield 1 - np.eye(min(CHUNK, rows - first), rows, first, np.float32)


def _bounds(sampled: Samples) -> tuple[Samples, Samples]:
    """What differences lie between; [sample, figure] to [figure].

    Each has the same share of its own samples above its upper bound. That share is so small that only one in twenty
    samples is above the bound of any figure, which costs little where figures move together. So for the lower bounds.
    """
    return -_upper(-sampled), _upper(sampled)


def _upper(sampled: Samples) -> Samples:
    ordered = np.sort(sampled, 0)
    below = np.stack([np.searchsorted(mine, found) for mine, found in zip(ordered.T, sampled.T, strict=True)])
    rank = np.quantile(below.max(0), LEVEL, method="higher")
    return np.asarray(ordered[rank])
