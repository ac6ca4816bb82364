"""The demo's own model in both back ends, over sentences that it was not trained on."""

import math
from datetime import date
from pathlib import Path

import onnx
import pytest

from shared.nlu.model import Model
from shared.nlu.training_data import load_training_data
from tests.stack import PROJECT

TODAY = date(2026, 11, 22)
EVERY = 2


def test_word_vectors_are_kept_in_half_precision(demo_model: Path) -> None:
    network = onnx.load(demo_model / "model.onnx", load_external_data=False)
    largest = max(network.graph.initializer, key=lambda each: math.prod(each.dims))
    assert largest.data_type == onnx.TensorProto.FLOAT16


def test_torch_and_openvino_decide_alike(demo_model: Path) -> None:
    texts = [each.text for each in load_training_data(PROJECT / "assistants" / "shop").heldout][::EVERY]
    assert len(texts) >= 300
    torch = Model.load(demo_model, precision="f32", backend="torch")
    openvino = Model.load(demo_model, precision="f32", backend="openvino")
    for ours, theirs in zip(torch.understand(texts, today=TODAY), openvino.understand(texts, today=TODAY), strict=True):
        assert ours.intent.name == theirs.intent.name, ours.text
        assert ours.intent.confidence == pytest.approx(theirs.intent.confidence, abs=1e-3), ours.text
        assert ours.sentiment.label == theirs.sentiment.label, ours.text
        assert ours.out_of_scope.detected == theirs.out_of_scope.detected, ours.text
        assert [(each.name, each.start, each.end, each.value) for each in ours.entities] == [
            (each.name, each.start, each.end, each.value) for each in theirs.entities
        ], ours.text
