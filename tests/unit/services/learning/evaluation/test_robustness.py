"""Drops of accuracy, on a predictor whose weakness is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.learning.evaluation.prediction import Prediction
from services.learning.evaluation.robustness import Robustness, measure_robustness
from shared.nlu.training_data import HeldOut

INTENTS = ("greet", "refund", "out_of_scope")
SENTENCES = [
    HeldOut("你好", "zh", "greet"),
    HeldOut("我要退款。", "zh", "refund"),
    HeldOut("hello", "en", "greet"),
    HeldOut("my refund, please", "en", "refund"),
    HeldOut("明天下雨吗", "zh", "out_of_scope"),
]


class Literal:
    """Knows words as they are written and nothing else."""

    engine = "a script"

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Prediction:
        names = {"你好": 0, "hello": 0, "退款": 1, "refund": 1}
        best = next((number for word, number in names.items() if word in text), 2)
        intents = np.eye(3, dtype=np.float32)[best]
        return Prediction(intents, float(best == 2), "neutral", ())


def measured(seed: int = 20) -> Robustness:
    return measure_robustness(Literal(), SENTENCES, intents=INTENTS, threshold=0.5, seed=seed)


def test_a_drop_is_counted_over_the_sentences_that_changed() -> None:
    drops = measured().drops
    spaces = drops["spaces"]
    assert set(spaces) == {"all", "zh"}
    assert (spaces["zh"].count, spaces["zh"].accuracy, spaces["zh"].perturbed_accuracy) == (2, 1.0, 0.0)
    assert spaces["zh"].drop == 1.0
    assert spaces["zh"].false_alarms == 1.0
    assert spaces["zh"].example == ("你好", "你 好")
    assert drops["upper_case"]["en"].perturbed_accuracy == 0.0
    assert drops["no_punctuation"]["all"].drop == 0.0
    assert drops["emoji"]["all"].count == 4


def test_what_costs_more_than_the_goal_is_named() -> None:
    missed = measured().missed()
    assert {"spaces", "upper_case"} <= set(missed)
    assert not {"emoji", "no_punctuation"} & set(missed)


def test_a_seed_gives_the_same_figures_again() -> None:
    assert measured(3) == measured(3)
    assert measured(3).drops["emoji"]["zh"].example != measured(4).drops["emoji"]["zh"].example


def test_without_sentences_in_scope_there_is_nothing_to_measure() -> None:
    found = measure_robustness(Literal(), SENTENCES[-1:], intents=INTENTS, threshold=0.5)
    assert found.drops == {}


@pytest.mark.parametrize("name", ["full_width", "typos"])
def test_sentences_that_a_change_leaves_alone_are_left_out(name: str) -> None:
    assert all(drop.example[0] != drop.example[1] for drop in measured().drops[name].values())
