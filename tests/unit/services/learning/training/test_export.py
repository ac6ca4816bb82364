"""What an exported network looks like, for whoever serves it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from services.learning.training.export import NETWORK_FILES
from tests.models import INTENTS, SENTIMENTS, TAGS, write_exported_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported_model(tmp_path_factory.mktemp("models") / "shop" / "v1")


def test_a_network_is_four_files(folder: Path) -> None:
    assert {each.name for each in folder.iterdir()} == {*NETWORK_FILES, "manifest.json"}


def test_the_network_has_the_agreed_inputs_and_outputs(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    assert graph.opset_import[0].version >= 17

    def shapes(values: object) -> dict[str, list[str | int]]:
        return {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in values  # type: ignore[attr-defined]
        }

    assert shapes(graph.graph.input) == {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "tokens"]}
    assert shapes(graph.graph.output) == {
        "intent_logits": ["batch", len(INTENTS)],
        "tag_logits": ["batch", "tokens", len(TAGS)],
        "sentiment_logits": ["batch", len(SENTIMENTS)],
        "text_embedding": ["batch", 32],
    }


def test_weights_and_tokenizer_are_beside_it(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    words = weights["encoder.embeddings.word_embeddings.weight"]
    assert len(words) == tokenizer.get_vocab_size()
    assert words.dtype == np.float16
    assert tokenizer.truncation is None
    assert tokenizer.padding is None
