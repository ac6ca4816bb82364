"""The training loop: it learns, it stops in time, and an interruption leaves no trace in the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from services.learning.datasets.examples import Encoder, Labels, split
from services.learning.progress import Progress
from services.learning.training.encoder import add_adapters, load_encoder, merge_adapters
from services.learning.training.encoders import EncoderError, find_encoder
from services.learning.training.pipeline import Network, fit_network
from services.learning.training.trainer import Fitted, fit
from services.learning.training.vocabulary import prune
from shared.nlu.network import Understander, read_weights, write_weights
from shared.nlu.training_data import TrainingData, Utterance, load_training_data
from shared.nlu.training_settings import TrainingSettings
from tests.unit.services.learning.conftest import WriteAssistant


class Stopped(Exception):
    """Stands for a process that is killed."""


class Bench:
    """Trains the tiny assistant's model, as often as a test likes."""

    def __init__(self, assistant: TrainingData) -> None:
        self.assistant = assistant
        self.told: list[Progress] = []

    def fit(self, checkpoint: Path, *, stop_in: int = 0, **changes: object) -> Fitted:
        settings = self.assistant.manifest.training.model_copy(update=changes)
        labels = Labels.of(self.assistant)
        folder = Path(settings.encoder)
        vocabulary = prune(Tokenizer.from_file(str(folder / "tokenizer.json")), [])
        torch.manual_seed(settings.seed)
        model = Understander(
            load_encoder(folder, vocabulary, settings),
            intents=len(labels.intents),
            tags=len(labels.tags),
            sentiments=len(labels.sentiments),
            dropout=0.1,
            mixed_tags=settings.tag_layers == "mixed",
        )
        if settings.method == "lora":
            model.encoder = add_adapters(model.encoder, settings)

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
    yield Bench(load_training_data(write_assistant(tmp_path / "mini")))
    torch.set_num_threads(threads)


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    return fitted.model.state_dict()


def test_learns_what_it_is_shown(bench: Bench, tmp_path: Path) -> None:
    fitted = bench.fit(tmp_path / "checkpoint.pt", epochs=8, learning_rate=5e-3)
    assert fitted.history[-1].loss < 0.7 * fitted.history[0].loss
    assert max(epoch.validation_accuracy for epoch in fitted.history) > 0.5
    assert max(epoch.validation_entity_f1 or 0 for epoch in fitted.history) > 0.2
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


def test_adapters_alone_learn_and_are_merged_into_the_same_network(bench: Bench, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"method": "lora", "lora_rank": 2, "layers": 2, "frozen_layers": 1}
    untouched = bench.fit(tmp_path / "none.pt", epochs=1, learning_rate=1e-12, **changes)
    before = {name: tensor.clone() for name, tensor in weights(untouched).items()}
    fitted = bench.fit(tmp_path / "lora.pt", epochs=2, learning_rate=1e-2, **changes)
    moved = {name for name, tensor in weights(fitted).items() if not torch.allclose(tensor, before[name], atol=1e-6)}
    in_encoder = {name for name in moved if name.startswith("encoder.")}
    assert in_encoder
    assert all("lora_" in name and ".layer.1." in name for name in in_encoder)
    ids = torch.tensor([[0, 5, 9, 7, 2]])
    fitted.model.eval()
    with torch.inference_mode():
        adapted = fitted.model(ids, torch.ones_like(ids))
        fitted.model.encoder = merge_adapters(fitted.model.encoder)
        merged = fitted.model(ids, torch.ones_like(ids))
    torch.testing.assert_close(merged.intents, adapted.intents, atol=1e-4, rtol=1e-3)
    assert not any("lora_" in name for name in weights(fitted))


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


def test_the_average_of_the_weights_is_kept_and_survives_an_interruption(bench: Bench, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-3}
    last = weights(bench.fit(tmp_path / "last.pt", **changes))
    averaged = bench.fit(tmp_path / "average.pt", averaging=0.9, **changes)
    assert not torch.equal(last["intent_head.weight"], weights(averaged)["intent_head.weight"])
    with pytest.raises(Stopped):
        bench.fit(tmp_path / "stopped.pt", averaging=0.9, stop_in=2, **changes)
    resumed = bench.fit(tmp_path / "stopped.pt", averaging=0.9, **changes)
    assert resumed.history == averaged.history
    torch.testing.assert_close(weights(resumed)["intent_head.weight"], weights(averaged)["intent_head.weight"])


def test_what_is_kept_may_lie_between_the_start_and_what_was_learned(bench: Bench, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-2, "averaging": 0.9}
    start = weights(bench.fit(tmp_path / "start.pt", **{**changes, "learning_rate": 1e-12}))
    learned = weights(bench.fit(tmp_path / "learned.pt", **changes))
    halfway = weights(bench.fit(tmp_path / "halfway.pt", interpolation=0.5, **changes))
    assert not torch.equal(start["intent_head.weight"], learned["intent_head.weight"])
    for name, tensor in halfway.items():
        torch.testing.assert_close(tensor, (start[name] + learned[name]) / 2, atol=1e-5, rtol=1e-4)


def test_word_vectors_learn_when_they_may(bench: Bench, tmp_path: Path) -> None:
    words = "encoder.embeddings.word_embeddings.weight"
    still = weights(bench.fit(tmp_path / "still.pt", epochs=1))[words].clone()
    assert not torch.equal(still, weights(bench.fit(tmp_path / "free.pt", epochs=1, frozen_words=False))[words])


def test_tags_may_be_seen_from_several_layers(bench: Bench, tmp_path: Path) -> None:
    fitted = bench.fit(tmp_path / "mixed.pt", epochs=1, tag_layers="mixed")
    width = int(fitted.model.intent_head.in_features)
    assert fitted.model.tag_head.in_features == 3 * width
    path = tmp_path / "weights.safetensors"
    write_weights(fitted.model, path)
    ids = torch.tensor([[0, 5, 9, 7, 2]])
    with torch.inference_mode():
        again = read_weights(path)(ids, torch.ones_like(ids)).tags
        torch.testing.assert_close(again, fitted.model.eval()(ids, torch.ones_like(ids)).tags, atol=1e-4, rtol=1e-3)


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
            load_encoder(encoder_folder, type(vocabulary)(tokenizer, (0, 1, 2)), TrainingSettings(layers=1))
