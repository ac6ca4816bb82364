"""How fast a new version must be: timed by a clock that only the models move."""

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from services.intent.settings import Settings
from services.intent.versions.golden_check import ROUNDS, Proven, prove
from shared.contracts.understanding import Understanding
from shared.nlu.golden_set import GoldenSet, GoldenText
from shared.nlu.manifest import ModelRejected, read_source
from shared.nlu.model import Model
from tests.models import write_model

GOLDEN = GoldenSet(texts=(GoldenText(text="hello", intent="greet"),), accuracy=1.0)


class Clock:
    """Stands still until a model has computed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(Model):
    """A model that takes so many seconds each time."""

    clock: Clock
    seconds: Any

    def understand(self, texts: Sequence[str], **how: Any) -> list[Understanding]:
        self.clock.now += next(self.seconds)
        return super().understand(texts, **how)


@pytest.fixture
def timed(tmp_path: Path) -> Callable[..., Proven]:
    """Makes a version that takes the seconds given, the last ones for ever."""
    clock = Clock()

    def make(version: str, *seconds: float) -> Proven:
        model = Timed(read_source(write_model(tmp_path, version=version)), streams=1, precision="f32")
        model.clock, model.seconds = clock, chain(seconds, repeat(seconds[-1]))
        return Proven(model, GOLDEN)

    return make


def clock_of(proven: Proven) -> Clock:
    assert isinstance(proven.model, Timed)
    return proven.model.clock


def test_a_version_that_is_always_slower_is_refused(timed: Callable[..., Proven]) -> None:
    settings = Settings(max_slowdown=2.0)
    candidate, current = timed("v2", 0.25), timed("v1", 0.1)
    with pytest.raises(ModelRejected, match=r"v2 takes 0\.250 s for its golden set, v1 takes 0\.100 s"):
        prove(candidate, current, settings, forced=False, clock=clock_of(candidate))
    prove(candidate, current, settings, forced=True, clock=clock_of(candidate))


def test_a_version_within_the_bound_passes(timed: Callable[..., Proven]) -> None:
    candidate, current = timed("v2", 0.2), timed("v1", 0.1)
    prove(candidate, current, Settings(max_slowdown=2.0), forced=False, clock=clock_of(candidate))


def test_busy_moments_of_the_machine_are_no_reason(timed: Callable[..., Proven]) -> None:
    candidate, current = timed("v2", *[5.0] * (ROUNDS - 1), 0.1), timed("v1", 0.1)
    prove(candidate, current, Settings(max_slowdown=2.0), forced=False, clock=clock_of(candidate))
