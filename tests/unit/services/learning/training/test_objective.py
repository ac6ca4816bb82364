"""The joint loss: what is not taught costs nothing, rare labels may count more, several intents each by itself."""

import torch

from services.learning.datasets.examples import IGNORED, Batch, Example, Labels
from services.learning.training.objective import Objective, many_hot
from shared.nlu.network import HeadOutputs
from shared.nlu.training_settings import TrainingSettings

LABELS = Labels(("often", "seldom"), ("O",), ("negative", "positive"))
EXAMPLES = [Example([1], [IGNORED], intent, IGNORED) for intent in (0,) * 9 + (1,)]


def objective(**changes: object) -> Objective:
    return Objective(TrainingSettings(label_smoothing=0.0).model_copy(update=changes), LABELS, EXAMPLES)


def batch(intents: list[list[int]]) -> Batch:
    ids = torch.ones(len(intents), 1, dtype=torch.int64)
    ignored = torch.full((len(intents), 1), IGNORED)
    return Batch(ids, ids, ignored, torch.tensor(intents), ignored[:, 0], ignored[:, 0])


def outputs(logits: list[list[float]]) -> HeadOutputs:
    found = torch.tensor(logits)
    return HeadOutputs(found, torch.zeros(len(found), 1, 1), torch.zeros(len(found), 2), torch.zeros(len(found), 4))


def test_balanced_weights_move_the_loss_towards_the_rare_label() -> None:
    wanted, found = batch([[0], [1]]), outputs([[4.0, 0.0], [4.0, 0.0]])
    assert objective(class_weights="balanced")(found, wanted) > objective()(found, wanted) + 0.5


def test_what_is_not_taught_costs_nothing() -> None:
    assert objective()(outputs([[4.0, 0.0]]), batch([[IGNORED]])) == 0


def test_several_intents_are_each_judged_by_themselves() -> None:
    both = objective(multi_intent=True)
    good, bad = outputs([[6.0, 6.0]]), outputs([[6.0, -6.0]])
    assert both(good, batch([[0, 1]])) < 0.01
    assert both(bad, batch([[0, 1]])) > 5
    assert both(bad, batch([[0, IGNORED]])) < 0.01
    assert both(outputs([[-6.0, -6.0], [6.0, 6.0]]), batch([[1, IGNORED], [0, 1]])) > 1


def test_many_hot_has_what_is_there_and_ignores_the_filling() -> None:
    assert many_hot(torch.tensor([[0, 1], [1, IGNORED]]), 3).tolist() == [[1, 1, 0], [0, 1, 0]]
