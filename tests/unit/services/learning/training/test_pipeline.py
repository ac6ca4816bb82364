"""From utterances to a written network."""

from pathlib import Path

import torch

from services.learning.datasets.examples import Labels
from services.learning.training.encoders import find_encoder
from services.learning.training.pipeline import Network, fit_network
from shared.nlu.network import read_weights
from shared.nlu.training_data import Utterance
from shared.nlu.training_settings import TrainingSettings


def fit_several(
    encoder: Path, intents: tuple[str, ...], utterances: list[Utterance], settings: TrainingSettings, folder: Path
) -> Network:
    return fit_network(
        find_encoder(str(encoder), folder),
        Labels(intents, ("O",)),
        utterances,
        utterances,
        settings,
        checkpoint=folder / "checkpoint.pt",
        folder=folder,
        progress=lambda _: None,
    )


def test_several_intents_of_a_text_are_learned_at_once(encoder_folder: Path, tmp_path: Path) -> None:
    texts = {"a": ("refund",), "b": ("track",), "ab": ("refund", "track"), "ba": ("refund", "track")}
    utterances = [Utterance(text, "en", first, others=tuple(rest)) for text, (first, *rest) in texts.items()] * 8
    settings = TrainingSettings(
        encoder=str(encoder_folder), multi_intent=True, variation=False, frozen_layers=0, epochs=30, patience=30,
        batch_size=8, learning_rate=3e-3, max_tokens=8, threads=1,
    )  # fmt: skip
    network = fit_several(encoder_folder, ("refund", "track", "out_of_scope"), utterances, settings, tmp_path)
    logits = network.exported.compute(list(texts)).intents
    assert (logits > 0).tolist() == [
        [True, False, False],
        [False, True, False],
        [True, True, False],
        [True, True, False],
    ]
    assert network.history[-1].validation_accuracy == 1.0


def test_each_of_several_intents_begins_as_likely_as_it_is(encoder_folder: Path, tmp_path: Path) -> None:
    utterances = [Utterance("a", "en", "often")] * 8 + [Utterance("b", "en", "often", others=("seldom",))] * 2
    settings = TrainingSettings(
        encoder=str(encoder_folder), multi_intent=True, variation=False, frozen_layers=1, epochs=1,
        learning_rate=1e-12, max_tokens=8, threads=1,
    )  # fmt: skip
    fit_several(encoder_folder, ("often", "seldom", "never"), utterances, settings, tmp_path)
    likely = read_weights(tmp_path / "weights.safetensors").intent_head.bias.sigmoid()
    torch.testing.assert_close(likely, torch.tensor([11 / 12, 3 / 12, 1 / 12]))
