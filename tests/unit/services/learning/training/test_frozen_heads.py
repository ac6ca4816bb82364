"""Heads that are fitted on an encoder which stays as it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from services.learning.datasets.examples import IGNORED, Batch, Encoder, Labels, batches
from services.learning.progress import Progress
from services.learning.training.encoder import load_encoder
from services.learning.training.encoders import find_encoder
from services.learning.training.frozen_heads import fit_heads, heads_only_settings
from services.learning.training.objective import Objective
from services.learning.training.vocabulary import Vocabulary
from shared.nlu.network import Understander
from shared.nlu.training_data import TrainingData, load_training_data
from tests.unit.services.learning.conftest import WriteAssistant


@pytest.fixture
def mini(write_assistant: WriteAssistant, tmp_path: Path) -> TrainingData:
    return load_training_data(write_assistant(tmp_path / "mini"))


def fitted(assistant: TrainingData, home: Path, report: Callable[[Progress], None]) -> tuple[Understander, Batch]:
    settings = heads_only_settings(assistant.manifest.training)
    files = find_encoder(settings.encoder, home)
    labels = Labels.of(assistant)
    tokenizer = Tokenizer.from_file(str(files.folder / "tokenizer.json"))
    vocabulary = Vocabulary(tokenizer, tuple(range(tokenizer.get_vocab_size())))
    encoder = load_encoder(files.folder, vocabulary, settings)
    torch.manual_seed(3)
    model = Understander(
        encoder,
        intents=len(labels.intents),
        tags=len(labels.tags),
        sentiments=len(labels.sentiments),
        dropout=0.1,
        mixed_tags=True,
    )
    before = {name: weights.clone() for name, weights in encoder.named_parameters()}
    examples = Encoder(tokenizer, labels, "", 48).encode(assistant.utterances)
    embeddings = fit_heads(model, Objective(settings, labels, examples), examples, report)
    assert all(torch.equal(weights, before[name]) for name, weights in encoder.named_parameters())
    [whole] = batches(examples, len(examples))
    with torch.no_grad():
        again = model.eval()(whole.input_ids, whole.attention_mask).embeddings
    torch.testing.assert_close(embeddings[whole.numbers], again, atol=1e-2, rtol=1e-2)
    return model, whole


def test_all_heads_learn_and_the_encoder_does_not(mini: TrainingData, tmp_path: Path) -> None:
    told: list[Progress] = []
    model, whole = fitted(mini, tmp_path, told.append)
    with torch.no_grad():
        outputs = model(whole.input_ids, whole.attention_mask)
    for logits, wanted in (
        (outputs.intents, whole.intents[:, 0]),
        (outputs.sentiments, whole.sentiments),
        (outputs.tags.flatten(0, 1), whole.tags.flatten()),
    ):
        known = wanted != IGNORED
        right = (logits[known].argmax(1) == wanted[known]).float().mean()
        # Random weights tell no more than letters, and that is enough to know texts again.
        assert right > 0.9
    assert told[0].done == 0
    assert told[-1].done == told[-1].total == int(whole.attention_mask.sum())


def test_the_settings_name_what_is_fitted(mini: TrainingData) -> None:
    settings = heads_only_settings(mini.manifest.training.model_copy(update={"hint_weight": 1.0, "method": "lora"}))
    assert (settings.layers, settings.frozen_layers, settings.tag_layers) == (48, 48, "mixed")
    assert (settings.method, settings.hint_weight, settings.distillation) == ("full", 0.0, None)
    assert settings.seed == mini.manifest.training.seed
