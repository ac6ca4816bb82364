"""What a model says as tensors, against what it says as objects."""

import json
from typing import Any

import numpy as np
import pytest

from services.intent.api.inference_outputs import OUTPUTS
from shared.nlu.answers import Task
from shared.nlu.model import Model
from tests.models import INTENTS, served

TEXTS = ["退款，订单20261103001", "谢谢 hello", "雨"]


def data(model: Model, name: str, texts: list[str]) -> Any:
    """The values of an output, flat, asked for as its task says."""
    texts_model = served(model)
    answers = texts_model.answers(texts_model.ask(texts, OUTPUTS[name].task))
    return OUTPUTS[name].tensor(name, answers).data()


def test_outputs_say_what_understandings_say(model: Model) -> None:
    asked = [each.model_dump(mode="json") for each in model.understand(TEXTS)]
    for name in ("intent", "sentiment"):
        assert data(model, name, TEXTS) == [each[name]["name" if name == "intent" else "label"] for each in asked]
        confidences = pytest.approx([each[name]["confidence"] for each in asked])
        assert data(model, f"{name}_confidence", TEXTS) == confidences
    assert data(model, "out_of_scope", TEXTS) == [each["out_of_scope"]["detected"] for each in asked]
    assert data(model, "out_of_scope", TEXTS) == [False, False, True]
    assert data(model, "out_of_scope_score", TEXTS) == pytest.approx([each["out_of_scope"]["score"] for each in asked])
    assert data(model, "language", TEXTS) == [each["language"] for each in asked]
    for name in ("intents", "entities"):
        assert [json.loads(each) for each in data(model, name, TEXTS)] == [each[name] for each in asked]


def test_the_best_of_the_probabilities_is_the_intent(model: Model) -> None:
    probabilities = np.reshape(data(model, "probabilities", TEXTS), (len(TEXTS), len(INTENTS)))
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert [INTENTS[each] for each in probabilities.argmax(axis=1)] == ["refund", "greet", "out_of_scope"]


@pytest.mark.parametrize("texts", [1, 3])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_shape_that_the_metadata_tell(model: Model, name: str, texts: int) -> None:
    texts_model = served(model)
    output = OUTPUTS[name]
    task: Task = output.task
    tensor = output.tensor(name, texts_model.answers(texts_model.ask(TEXTS[:texts], task)))
    assert tensor.shape == [texts, *output.shape(texts_model)[1:]]
    assert (tensor.name, tensor.datatype) == (name, output.datatype)
