"""The training loop: it learns, it stops in time, and an interruption leaves no trace in the result."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.services.learning.training.trainings import Bench, Stopped, weights


def test_learns_what_it_is_shown(bench: Bench, tmp_path: Path) -> None:
    fitted = bench.fit(tmp_path / "checkpoint.pt", epochs=8, learning_rate=5e-3)
    assert fitted.history[-1].loss < 0.7 * fitted.history[0].loss
    assert max(epoch.validation_accuracy for epoch in fitted.history) > 0.5
    assert max(epoch.validation_entity_f1 or 0 for epoch in fitted.history) > 0.2
    assert [progress.done for progress in bench.told] == sorted(progress.done for progress in bench.told)
    assert bench.told[-1].done == bench.told[-1].total


def test_an_interrupted_training_ends_like_one_that_was_not(bench: Bench, tmp_path: Path) -> None:
    whole = bench.fit(tmp_path / "whole.pt", epochs=3)
    with pytest.raises(Stopped):
        bench.fit(tmp_path / "stopped.pt", epochs=3, stop_in=3)
    bench.told.clear()
    resumed = bench.fit(tmp_path / "stopped.pt", epochs=3)
    assert bench.told[0].detail == "epoch 3 of 3"
    assert resumed.history == whole.history
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], tensor)


def test_stops_when_validation_no_longer_improves(bench: Bench, tmp_path: Path) -> None:
    fitted = bench.fit(tmp_path / "checkpoint.pt", epochs=30, patience=1, learning_rate=1e-12)
    assert len(fitted.history) < 30
    again = bench.fit(tmp_path / "checkpoint.pt", epochs=30, patience=1, learning_rate=1e-12)
    assert again.history == fitted.history


def test_the_average_of_the_weights_is_kept_and_survives_an_interruption(bench: Bench, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-3}
    last = weights(bench.fit(tmp_path / "last.pt", **changes))
    averaged = bench.fit(tmp_path / "average.pt", averaging=0.9, **changes)
    assert not torch.equal(last["intent_head.weight"], weights(averaged)["intent_head.weight"])
    with pytest.raises(Stopped):
        bench.fit(tmp_path / "stopped.pt", averaging=0.9, stop_in=2, **changes)
    resumed = bench.fit(tmp_path / "stopped.pt", averaging=0.9, **changes)
    assert resumed.history == averaged.history
    torch.testing.assert_close(weights(resumed)["intent_head.weight"], weights(averaged)["intent_head.weight"])


def test_what_is_kept_may_lie_between_the_start_and_what_was_learned(bench: Bench, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-2, "averaging": 0.9}
    start = weights(bench.fit(tmp_path / "start.pt", **{**changes, "learning_rate": 1e-12}))
    learned = weights(bench.fit(tmp_path / "learned.pt", **changes))
    halfway = weights(bench.fit(tmp_path / "halfway.pt", interpolation=0.5, **changes))
    assert not torch.equal(start["intent_head.weight"], learned["intent_head.weight"])
    for name, tensor in halfway.items():
        torch.testing.assert_close(tensor, (start[name] + learned[name]) / 2, atol=1e-5, rtol=1e-4)
