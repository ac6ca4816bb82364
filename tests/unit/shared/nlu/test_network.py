"""The trained network as a file: written, read again, and refused where it is not one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.nlu.network import WeightsError, read_weights, write_weights
from tests.models import random_network

IDS = torch.tensor([[0, 5, 9, 7, 2], [0, 6, 2, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize("mixed_tags", [False, True])
def test_what_is_read_computes_what_was_written(path: Path, mixed_tags: bool) -> None:
    network = random_network(mixed_tags=mixed_tags).eval()
    write_weights(network, path)
    again = read_weights(path)
    assert not any(each.requires_grad for each in again.parameters())
    with torch.inference_mode():
        ours, theirs = network(IDS, MASK), again(IDS, MASK)
    for name in ("intents", "tags", "sentiments", "embeddings"):
        torch.testing.assert_close(getattr(theirs, name)[:, :3], getattr(ours, name)[:, :3], atol=1e-4, rtol=1e-3)


def test_tags_may_be_seen_from_several_layers() -> None:
    plain, mixed = random_network(), random_network(mixed_tags=True)
    assert mixed.tag_head.in_features == 3 * plain.tag_head.in_features
    assert mixed.intent_head.in_features == plain.intent_head.in_features


def test_an_embedding_is_the_mean_over_the_tokens_and_padding_is_none() -> None:
    network = random_network().eval()
    with torch.inference_mode():
        states = network.encoder(input_ids=IDS[1:, :3], attention_mask=MASK[1:, :3]).last_hidden_state
        padded = network(IDS, MASK).embeddings[1]
    torch.testing.assert_close(padded, states[0].mean(0), atol=1e-5, rtol=1e-4)


def test_a_pickle_is_not_read(path: Path) -> None:
    torch.save({"harmless": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        read_weights(path)


@pytest.mark.parametrize(
    "encoder", ["{", "[]", '{"model_type": "unheard-of"}', '{"model_type": "bert", "hidden_size": 16}']
)
def test_weights_of_another_encoder_are_refused(path: Path, encoder: str) -> None:
    write_weights(random_network(), path)
    save_file(load_file(path), path, metadata={"encoder": encoder})
    with pytest.raises(WeightsError, match="does not hold the weights that its encoder needs"):
        read_weights(path)


def test_weights_without_a_head_are_refused(path: Path) -> None:
    write_weights(random_network(), path)
    config = random_network().encoder.config.to_json_string()  # type: ignore[union-attr,operator]
    rest = {name: weights for name, weights in load_file(path).items() if not name.startswith("sentiment_head")}
    save_file(rest, path, metadata={"encoder": config})
    with pytest.raises(WeightsError, match="sentiment_head"):
        read_weights(path)
