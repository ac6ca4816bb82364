"""An intent head that is fitted on embeddings, and its place in a model's files."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors import safe_open

from services.learning.training.head_fitting import Head, fit_head, read_head, replace_head
from shared.nlu.manifest import ModelError
from shared.nlu.text_network import TextNetwork
from tests.models import INTENTS, describe, write_exported_model, write_model

START = Head(np.array([[4, 0, 0], [0, 4, 0]], np.float32), np.zeros(2, np.float32))


def texts(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around three places, of which the head knows two."""
    draw = np.random.default_rng(seed)
    intents = np.arange(3 * count) % 3
    return (np.eye(3)[intents] * 2 + draw.normal(scale=0.4, size=(len(intents), 3))).astype(np.float32), intents


def test_a_new_row_is_learned_and_the_old_ones_are_kept() -> None:
    embeddings, intents = texts(16, 1)
    start = START.extended([0, 1, None], embeddings, intents)
    assert (start.weights[:2] == START.weights).all()
    assert np.linalg.norm(start.weights[2]) == pytest.approx(4)
    head = fit_head(start, embeddings, intents, np.ones(len(intents), np.float32), smoothing=0.1)
    held_out, wanted = texts(200, 2)
    assert (head.logits(held_out).argmax(1) == wanted).mean() > 0.97


def test_a_model_says_what_its_new_head_says(tmp_path: Path) -> None:
    source = write_exported_model(tmp_path / "source")
    old = read_head(source)
    assert old.bias.shape == (len(INTENTS),)
    draw = np.random.default_rng(3)
    head = Head(draw.normal(size=(6, old.weights.shape[1])).astype(np.float32), np.arange(6, dtype=np.float32))
    target = tmp_path / "target"
    target.mkdir()
    replace_head(source, head, target)
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    describe(target, {}, {"intents": [*INTENTS, "coupon", "lottery"]})
    before, after = (TextNetwork.load(folder).compute(["退款", "hello"]) for folder in (source, target))
    np.testing.assert_allclose(after.intents, head.logits(after.embeddings), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after.embeddings, before.embeddings, atol=1e-6)
    np.testing.assert_allclose(after.sentiments, before.sentiments, atol=1e-6)
    [shape] = [o.type.tensor_type.shape for o in onnx.load(target / "model.onnx").graph.output if "intent" in o.name]
    assert shape.dim[1].dim_value == 6
    assert (read_head(target).weights == head.weights).all()
    with (
        safe_open(source / "weights.safetensors", "numpy") as one,
        safe_open(target / "weights.safetensors", "numpy") as two,
    ):
        assert one.metadata() == two.metadata()


def test_a_network_of_another_make_is_refused(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    with pytest.raises(ModelError, match="not computed as training exports them"):
        replace_head(source, START, tmp_path)
