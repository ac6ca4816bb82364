"""Heads that start from a logistic regression know the training texts before anything of the encoder has changed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from services.learning.datasets.examples import IGNORED, Encoder, Labels, batches
from services.learning.progress import Progress
from services.learning.training.encoder import load_encoder
from services.learning.training.encoders import find_encoder
from services.learning.training.linear_probe import probe
from services.learning.training.objective import Objective
from services.learning.training.pipeline import fit_network
from services.learning.training.vocabulary import prune
from shared.nlu.network import HeadOutputs, Understander
from shared.nlu.text_network import TextOutputs
from shared.nlu.training_data import Utterance
from shared.nlu.training_settings import TrainingSettings

LABELS = Labels(("refund", "track", "out_of_scope"), ("O",), ("negative", "positive"))
TEXTS = {"a": "refund", "b": "track", "ab": "refund", "ba": "track", "c": "out_of_scope"}
ASKED = [Utterance(text, "en", intent) for text, intent in TEXTS.items()]
FELT = [Utterance("d", "en", sentiment="negative"), Utterance("e", "en", sentiment="positive")]


class Stopped(Exception):
    """Stands for a process that is killed."""


def logits(encoder: Path, folder: Path, *, stop_in: int = 0) -> TextOutputs:
    """What a network answers about the texts that it was trained on."""
    settings = TrainingSettings(
        encoder=str(encoder), variation=False, frozen_layers=0, epochs=2, batch_size=8, learning_rate=1e-3,
        label_smoothing=0.0, max_tokens=8, threads=1, probe=True,
    )  # fmt: skip

    def report(progress: Progress) -> None:
        if progress.detail.startswith(f"epoch {stop_in} "):
            raise Stopped

    folder.mkdir(exist_ok=True)
    network = fit_network(
        find_encoder(str(encoder), folder),
        LABELS,
        [*ASKED, *FELT] * 4,
        [*ASKED, *FELT],
        settings,
        checkpoint=folder / "checkpoint.pt",
        folder=folder,
        progress=report,
    )
    return network.exported.compute([utterance.text for utterance in (*ASKED, *FELT)])


@pytest.mark.parametrize("several", [False, True])
def test_what_was_probed_is_known_from_the_start(encoder_folder: Path, several: bool) -> None:
    settings = TrainingSettings(encoder=str(encoder_folder), max_tokens=8, label_smoothing=0.0, multi_intent=several)
    vocabulary = prune(Tokenizer.from_file(str(encoder_folder / "tokenizer.json")), [])
    examples = Encoder(vocabulary.tokenizer, LABELS, settings.prefix, settings.max_tokens).encode([*ASKED, *FELT])
    torch.manual_seed(settings.seed)
    model = Understander(
        load_encoder(encoder_folder, vocabulary, settings),
        intents=len(LABELS.intents), tags=len(LABELS.tags), sentiments=len(LABELS.sentiments), dropout=0.1,
    ).eval()  # fmt: skip
    [batch] = batches(examples, len(examples))
    wanted = batch.intents[:, 0] != IGNORED
    felt = batch.sentiments != IGNORED

    def asked() -> HeadOutputs:
        with torch.no_grad():
            outputs: HeadOutputs = model(batch.input_ids, batch.attention_mask)
        return outputs

    before = asked()
    assert before.intents[wanted].argmax(1).tolist() != batch.intents[wanted, 0].tolist()
    probe(model, Objective(settings, LABELS, examples), examples)
    model.cpu()
    after = asked()
    assert after.intents[wanted].argmax(1).tolist() == batch.intents[wanted, 0].tolist()
    assert after.sentiments[felt].argmax(1).tolist() == batch.sentiments[felt].tolist()
    torch.testing.assert_close(after.embeddings, before.embeddings)


@pytest.mark.long
def test_a_stopped_training_goes_on_with_the_heads_that_it_had(encoder_folder: Path, tmp_path: Path) -> None:
    whole = logits(encoder_folder, tmp_path / "whole")
    with pytest.raises(Stopped):
        logits(encoder_folder, tmp_path / "stopped", stop_in=2)
    resumed = logits(encoder_folder, tmp_path / "stopped")
    np.testing.assert_allclose(resumed.intents, whole.intents, atol=1e-4)
    wanted = [LABELS.intents.index(intent) for intent in TEXTS.values()]
    assert whole.intents[: len(wanted)].argmax(1).tolist() == wanted
