"""A new version against its golden set, and against the version in production, before anybody is served by it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from services.intent.kinds.kind import AnyModel, GoldenQuestions
from services.intent.settings import Settings
from shared.nlu.manifest import ModelRejected

__all__ = ["prove"]

ROUNDS = 8
SLACK_SECONDS = 0.005
"""Golden sets of a few questions are over sooner than a machine can tell one model's time from another's."""


def prove(
    candidate: AnyModel,
    current: AnyModel | None,
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
    version = candidate.manifest.version
    if candidate.golden is None:
        raise ModelRejected(f"version {version} has no golden set; train it again")
    asked = candidate.golden.questions
    labels, seconds = _labels(candidate, asked, clock)
    found = _accuracy(labels, candidate.golden)
    if found < candidate.golden.accuracy - settings.golden_margin:
        raise ModelRejected(
            f"version {version} gets {found:.3f} of its golden set right, after training it was "
            f"{candidate.golden.accuracy:.3f}"
        )
    if current is None or forced:
        return
    before = current.manifest.version
    if candidate.manifest.kind != current.manifest.kind:
        raise ModelRejected(
            f"version {version} is of the kind {candidate.manifest.kind} and {before} is of {current.manifest.kind}"
        )
    known, known_seconds = _labels(current, asked, clock)
    if current.golden is not None:
        if current.golden.questions != asked:
            (labels, _), (known, _) = (_labels(each, current.golden.questions, clock) for each in (candidate, current))
        mine, theirs = (_accuracy(each, current.golden) for each in (labels, known))
        if mine < theirs - settings.worse_margin:
            raise ModelRejected(
                f"version {version} gets {mine:.3f} of the golden set of {before} right, which itself gets {theirs:.3f}"
            )
    _require_speed(candidate, current, asked, (seconds, known_seconds), settings.max_slowdown, clock)


def _labels(model: AnyModel, questions: Sequence[Any], clock: Callable[[], float]) -> tuple[list[str | None], float]:
    """The label that a model gives each question, and the seconds that it took."""
    started = clock()
    answers = model.answers(questions)
    seconds = clock() - started
    verdicts = map(model.verdict, answers)
    return [None if each is None else each.label for each in verdicts], seconds


def _accuracy(labels: Sequence[str | None], golden: GoldenQuestions[Any]) -> float:
    return sum(mine == right for mine, right in zip(labels, golden.labels, strict=True)) / len(golden.labels)


def _require_speed(
    candidate: AnyModel,
    current: AnyModel,
    questions: Sequence[Any],
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
        theirs = min(theirs, _labels(current, questions, clock)[1])
        mine = min(mine, _labels(candidate, questions, clock)[1])
    raise ModelRejected(
        f"version {candidate.manifest.version} takes {mine:.3f} s for its golden set, "
        f"{current.manifest.version} takes {theirs:.3f} s"
    )
