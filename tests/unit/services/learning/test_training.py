"""The training loop: it learns, it stops in time, and an interruption leaves no trace in the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from services.learning.encoders import EncoderError
from services.learning.examples import Encoder, Labels, split
from services.learning.model import load_encoder
from services.learning.progress import Progress
from services.learning.training import Fitted, fit
from services.learning.vocabulary import prune
from shared.assistants import Assistant, load_assistant
from shared.understander import Understander
from tests.unit.services.learning.conftest import WriteAssistant


class Stopped(Exception):
    """Stands for a process that is killed."""


class Bench:
    """Trains the tiny assistant's model, as often as a test likes."""

    def __init__(self, assistant: Assistant) -> None:
        self.assistant = assistant
        self.told: list[Progress] = []

    def fit(self, checkpoint: Path, *, stop_in: int = 0, **changes: object) -> Fitted:
        settings = self.assistant.manifest.training.model_copy(update=changes)
        labels = Labels.of(self.assistant.manifest, self.assistant.intents)
        folder = Path(settings.encoder)
        vocabulary = prune(Tokenizer.from_file(str(folder / "tokenizer.json")), [])
        torch.manual_seed(settings.seed)
        model = Understander(
            load_encoder(folder, vocabulary, layers=settings.layers, frozen_layers=settings.frozen_layers),
            intents=len(labels.intents),
            tags=len(labels.tags),
            sentiments=len(labels.sentiments),
            dropout=0.1,
        )

        def report(progress: Progress) -> None:
            self.told.append(progress)
            if progress.detail.startswith(f"epoch {stop_in} "):
                raise Stopped

        training, validation = split(self.assistant.utterances, settings.validation, settings.seed)
        encoder = Encoder(vocabulary.tokenizer, labels, settings.prefix, settings.max_tokens)
        return fit(model, encoder, training, validation, settings, checkpoint=checkpoint, progress=report)


@pytest.fixture
def bench(write_assistant: WriteAssistant, tmp_path: Path) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(load_assistant(write_assistant(tmp_path / "mini")))
    torch.set_num_threads(threads)


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    return fitted.model.state_dict()


def test_learns_what_it_is_shown(bench: Bench, tmp_path: Path) -> None:
    fitted = bench.fit(tmp_path / "checkpoint.pt", epochs=8, learning_rate=5e-3)
    assert fitted.history[-1].loss < 0.7 * fitted.history[0].loss
    assert max(epoch.validation_accuracy for epoch in fitted.history) > 0.5
    assert [progress.done for progress in bench.told] == sorted(progress.done for progress in bench.told)
    assert bench.told[-1].done == bench.told[-1].total


def test_an_interrupted_training_ends_like_one_that_was_not(bench: Bench, tmp_path: Path) -> None:
    whole = bench.fit(tmp_path / "whole.pt", epochs=3)
    with pytest.raises(Stopped):
        bench.fit(tmp_path / "stopped.pt", epochs=3, stop_in=3)
    bench.told.clear()
    resumed = bench.fit(tmp_path / "stopped.pt", epochs=3)
    assert bench.told[0].detail == "epoch 3 of 3"
    assert resumed.history == whole.history
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], tensor)


def test_stops_when_validation_no_longer_improves(bench: Bench, tmp_path: Path) -> None:
    fitted = bench.fit(tmp_path / "checkpoint.pt", epochs=30, patience=1, learning_rate=1e-12)
    assert len(fitted.history) < 30
    again = bench.fit(tmp_path / "checkpoint.pt", epochs=30, patience=1, learning_rate=1e-12)
    assert again.history == fitted.history


def test_frozen_layers_and_word_vectors_stay_as_they_were(bench: Bench, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"layers": 2, "learning_rate": 1e-2}
    frozen = weights(bench.fit(tmp_path / "frozen.pt", epochs=1, frozen_layers=1, **changes))
    free = weights(bench.fit(tmp_path / "free.pt", epochs=1, frozen_layers=0, **changes))
    query = "encoder.encoder.layer.{}.attention.self.query.weight"
    words = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(frozen[words], free[words])
    assert not torch.equal(frozen[query.format(0)], free[query.format(0)])
    again = weights(bench.fit(tmp_path / "again.pt", epochs=2, frozen_layers=1, **changes))
    assert torch.equal(frozen[query.format(0)], again[query.format(0)])
    assert not torch.equal(frozen[query.format(1)], again[query.format(1)])


def test_says_that_an_encoder_cannot_be_shortened(encoder_folder: Path) -> None:
    from transformers import AutoConfig, AutoModel

    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = AutoConfig.from_pretrained(encoder_folder)
            self.words = torch.nn.Embedding(3, 2)

        def get_input_embeddings(self) -> torch.nn.Embedding:
            return self.words

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoModel, "from_pretrained", lambda *_, **__: Odd())
        tokenizer = Tokenizer.from_file(str(encoder_folder / "tokenizer.json"))
        vocabulary = prune(tokenizer, [])
        with pytest.raises(EncoderError, match="Odd has no list of 2 layers"):
            load_encoder(encoder_folder, type(vocabulary)(tokenizer, (0, 1, 2)), layers=1, frozen_layers=0)
