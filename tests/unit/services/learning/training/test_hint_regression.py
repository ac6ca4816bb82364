"""Hints: the embedding keeps what the pretrained encoder knows, while the labels have their way."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from services.learning.datasets.examples import Example
from services.learning.runs.runs import train
from services.learning.training.hint_regression import Hints, pretrained_embeddings
from shared.nlu.network import HeadOutputs, read_weights
from tests.unit.services.learning.conftest import WriteAssistant
from tests.unit.services.learning.training.test_distillation import BATCH


def outputs(embeddings: torch.Tensor) -> HeadOutputs:
    nothing = torch.zeros(len(embeddings), 0)
    return HeadOutputs(nothing, nothing, nothing, embeddings)


def test_what_tells_its_hint_costs_nothing_and_the_opposite_twice_the_weight() -> None:
    embeddings = torch.tensor([[3.0, 1.0], [1.0, 1.0]])
    hints = Hints(embeddings, weight=0.5)
    hints.regressor.weight.data = torch.eye(2)
    hints.regressor.bias.data.zero_()
    loss = hints.beside(lambda _outputs, _batch: torch.tensor(3.0))
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # what the two texts do not share
    assert float(loss(outputs(apart), BATCH).detach()) == pytest.approx(3.0)
    assert float(loss(outputs(-apart), BATCH).detach()) == pytest.approx(3.0 + 0.5 * 2)


def test_the_regressor_learns_too() -> None:
    hints = Hints(torch.randn(2, 4), weight=1.0)
    hints.beside(lambda *_: torch.tensor(0.0))(outputs(torch.randn(2, 4)), BATCH).backward()  # type: ignore[no-untyped-call]
    assert hints.regressor.weight.grad is not None


def test_embeddings_are_means_over_tokens_in_the_order_of_the_texts(encoder_folder: Path) -> None:
    encoder = AutoModel.from_pretrained(encoder_folder).eval()
    texts = [[0, 9, 8, 7, 2], [0, 5, 2], [0, 6, 6, 2]]
    examples = [Example(ids, [0] * len(ids), 0, 0, number=number) for number, ids in enumerate(texts)]
    found = pretrained_embeddings(encoder, examples)
    for ids, embedding in zip(texts, found, strict=True):
        with torch.no_grad():
            wanted = encoder(torch.tensor([ids])).last_hidden_state[0].mean(0)
        torch.testing.assert_close(embedding, wanted, atol=0.05, rtol=0.05)


@pytest.mark.long
def test_a_model_is_trained_with_hints_and_written_without_their_map(
    write_assistant: WriteAssistant, tmp_path: Path
) -> None:
    assistant = write_assistant(tmp_path / "mini", epochs=1, hint_weight=1.0)
    made = train(assistant, tmp_path / "home", lambda _: None)
    assert read_weights(made.path / "weights.safetensors").regressor is None
