"""A new version against its golden set, and against the version in production, before anybody is served by it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.intent.settings import Settings
from shared.contracts.understanding import Understanding
from shared.errors import ConfigurationError
from shared.nlu.golden_set import GOLDEN, GoldenSet
from shared.nlu.manifest import Manifest, ModelRejected, ModelSource
from shared.nlu.model import Model

__all__ = ["Proven", "golden_of", "prove"]

ROUNDS = 8
SLACK_SECONDS = 0.005
"""Golden sets of a few texts are over sooner than a machine can tell one model's time from another's."""


@dataclass(frozen=True)
class Proven:
    """A model with the golden set of its folder; versions that were loaded at the start may have none."""

    model: Model
    golden: GoldenSet | None


def golden_of(source: ModelSource[Manifest]) -> GoldenSet | None:
    """The golden set of a model folder, if it has one.

    Raises:
        ModelRejected: it cannot be read.
    """
    if GOLDEN not in source.manifest.files:
        return None
    try:
        return GoldenSet.read(source.file(GOLDEN))
    except ConfigurationError as error:
        raise ModelRejected(str(error)) from error


def prove(
    candidate: Proven,
    current: Proven | None,
    settings: Settings,
    *,
    forced: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Lets a candidate through that is what it was after training, and neither worse nor much slower than the current.

    Args:
        forced: a person wants it although it is worse; then only its own golden set counts.
        clock: seconds that only grow; the models are timed by it.

    Raises:
        ModelRejected: it does not pass; the message has the figures.
    """
    version = candidate.model.manifest.version
    if candidate.golden is None:
        raise ModelRejected(f"version {version} has no golden set; train it again")
    asked = [each.text for each in candidate.golden.texts]
    answers, seconds = _answers(candidate.model, asked, clock)
    found = _accuracy(answers, candidate.golden)
    if found < candidate.golden.accuracy - settings.golden_margin:
        raise ModelRejected(
            f"version {version} gets {found:.3f} of its golden set right, after training it was "
            f"{candidate.golden.accuracy:.3f}"
        )
    if current is None or forced:
        return
    before = current.model.manifest.version
    known, known_seconds = _answers(current.model, asked, clock)
    if current.golden is not None:
        if current.golden.texts != candidate.golden.texts:
            texts = [each.text for each in current.golden.texts]
            (answers, _), (known, _) = (_answers(each, texts, clock) for each in (candidate.model, current.model))
        mine, theirs = (_accuracy(each, current.golden) for each in (answers, known))
        if mine < theirs - settings.worse_margin:
            raise ModelRejected(
                f"version {version} gets {mine:.3f} of the golden set of {before} right, which itself gets {theirs:.3f}"
            )
    _require_speed(candidate.model, current.model, asked, (seconds, known_seconds), settings.max_slowdown, clock)


def _answers(model: Model, texts: Sequence[str], clock: Callable[[], float]) -> tuple[list[Understanding], float]:
    """What a model says of the texts, and the seconds that it took."""
    started = clock()
    answers = model.understand(texts)
    return answers, clock() - started


def _accuracy(answers: Sequence[Understanding], golden: GoldenSet) -> float:
    right = sum(answer.intent.name == each.intent for answer, each in zip(answers, golden.texts, strict=True))
    return right / len(golden.texts)


def _require_speed(
    candidate: Model,
    current: Model,
    texts: Sequence[str],
    times: tuple[float, float],
    max_slowdown: float,
    clock: Callable[[], float],
) -> None:
    """Compares the best times; the models take turns, so that a busy moment meets both.

    A machine that others use makes a time longer and never shorter, so a candidate that was quick enough once passes.

    Args:
        times: the first of the candidate and of the current, in seconds.
    """
    mine, theirs = times
    for _ in range(ROUNDS):
        if mine <= theirs * max_slowdown + SLACK_SECONDS:
            return
        theirs = min(theirs, _answers(current, texts, clock)[1])
        mine = min(mine, _answers(candidate, texts, clock)[1])
    raise ModelRejected(
        f"version {candidate.manifest.version} takes {mine:.3f} s for its golden set, "
        f"{current.manifest.version} takes {theirs:.3f} s"
    )
