"""How fast a new version must be: timed by a clock that only the models move."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import chain, repeat
from pathlib import Path

import pytest

from services.intent.kinds.kind import GoldenQuestions
from services.intent.kinds.understanding.served import Question, UnderstandingKind, UnderstandingModel
from services.intent.settings import Settings
from services.intent.versions.golden_check import ROUNDS, prove
from shared.nlu.answers import Answer
from shared.nlu.manifest import ModelRejected
from shared.nlu.model import Model
from tests.models import write_model

TODAY = date(2026, 11, 22)


class Clock:
    """Stands still until a model has computed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(UnderstandingModel):
    """A model that takes so many seconds each time."""

    def __init__(self, model: Model, clock: Clock, seconds: Iterator[float]) -> None:
        super().__init__(UnderstandingKind(), model, lambda _timezone: TODAY)
        self.golden = GoldenQuestions(self.ask(["hello"]), ["greet"], accuracy=1.0)
        self.clock = clock
        self.seconds = seconds

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        self.clock.now += next(self.seconds)
        return super().answers(questions)


@pytest.fixture
def timed(tmp_path: Path) -> Callable[..., Timed]:
    """Makes a version that takes the seconds given, the last ones for ever."""
    clock = Clock()

    def make(version: str, *seconds: float) -> Timed:
        model = Model.load(write_model(tmp_path, version=version), streams=1, precision="f32")
        return Timed(model, clock, chain(seconds, repeat(seconds[-1])))

    return make


def test_a_version_that_is_always_slower_is_refused(timed: Callable[..., Timed]) -> None:
    settings = Settings(max_slowdown=2.0)
    candidate, current = timed("v2", 0.25), timed("v1", 0.1)
    with pytest.raises(ModelRejected, match=r"v2 takes 0\.250 s for its golden set, v1 takes 0\.100 s"):
        prove(candidate, current, settings, forced=False, clock=candidate.clock)
    prove(candidate, current, settings, forced=True, clock=candidate.clock)


def test_a_version_within_the_bound_passes(timed: Callable[..., Timed]) -> None:
    candidate, current = timed("v2", 0.2), timed("v1", 0.1)
    prove(candidate, current, Settings(max_slowdown=2.0), forced=False, clock=candidate.clock)


def test_busy_moments_of_the_machine_are_no_reason(timed: Callable[..., Timed]) -> None:
    candidate, current = timed("v2", *[5.0] * (ROUNDS - 1), 0.1), timed("v1", 0.1)
    prove(candidate, current, Settings(max_slowdown=2.0), forced=False, clock=candidate.clock)
