"""Texts in, logits and embeddings out: in the texts' order, however they are put into batches."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.engines.runtime import BATCH_TOKENS, available_cores
from shared.nlu.text_network import TextNetwork
from shared.nlu.tokenizer import Encoded
from tests.models import INTENTS, SENTIMENTS, TAGS, write_model

WORDS = ("hello", "退款", "北京市路1号", "where is my parcel", "acme inc")
CALIBRATION = ("temperature", "out_of_scope", "data_hash", "metrics")


@pytest.fixture(scope="module")
def network(home: Path) -> TextNetwork:
    return TextNetwork.load(next((home / "models" / "shop").glob("*/")))


def test_it_computes_in_full_precision_on_a_stream_for_each_core(network: TextNetwork) -> None:
    assert network.runtime.precision == "f32"
    assert network.runtime.streams == available_cores() >= 1


def test_a_folder_need_not_be_calibrated(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k not in CALIBRATION}))
    assert TextNetwork.load(folder).compute(["refund"]).intents.argmax() == INTENTS.index("refund")


def test_no_texts_are_no_rows_of_the_right_width(network: TextNetwork) -> None:
    found = network.compute([])
    assert (found.encoded, found.tags) == ((), ())
    assert found.intents.shape == (0, len(INTENTS))
    assert found.sentiments.shape == (0, len(SENTIMENTS))
    assert found.embeddings.shape == (0, network.runtime.dimension)


def test_a_text_has_the_same_outputs_alone_and_among_others(network: TextNetwork) -> None:
    texts = [" ".join([word] * times) for times in (1, 20, 3) for word in WORDS] * 3
    together = network.compute(texts)
    assert len({len(each) for each in together.encoded}) > 5
    for row, text in enumerate(texts):
        alone = network.compute([text])
        assert together.encoded[row].text == text
        np.testing.assert_allclose(together.intents[row], alone.intents[0], atol=1e-4)
        np.testing.assert_allclose(together.sentiments[row], alone.sentiments[0], atol=1e-4)
        np.testing.assert_allclose(together.embeddings[row], alone.embeddings[0], atol=1e-4)
        np.testing.assert_allclose(together.tags[row], alone.tags[0], atol=1e-4)
        assert together.tags[row].shape == (len(together.encoded[row]), len(TAGS))


@given(st.lists(st.integers(0, 40), max_size=60))
def test_every_text_is_in_one_batch_and_no_batch_of_several_is_too_large(
    network: TextNetwork, lengths: list[int]
) -> None:
    encoded = network.tokenizer.encode([f"hello {'hello ' * length}{number}" for number, length in enumerate(lengths)])
    batches: list[list[Encoded]] = []

    def answer(batch: list[Encoded]) -> list[str]:
        batches.append(batch)
        return [each.text for each in batch]

    assert network.in_batches(encoded, answer) == [each.text for each in encoded]
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(map(len, batch)) <= BATCH_TOKENS
