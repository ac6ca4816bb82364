"""The pretrained encoder as training takes it: what is cut off, what learns, and what adapters add."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from services.learning.training.encoder import load_encoder, merge_adapters
from services.learning.training.encoders import EncoderError
from services.learning.training.vocabulary import prune
from shared.nlu.training_settings import TrainingSettings
from tests.unit.services.learning.training.trainings import Bench, weights


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


def test_word_vectors_learn_when_they_may(bench: Bench, tmp_path: Path) -> None:
    words = "encoder.embeddings.word_embeddings.weight"
    still = weights(bench.fit(tmp_path / "still.pt", epochs=1))[words].clone()
    assert not torch.equal(still, weights(bench.fit(tmp_path / "free.pt", epochs=1, frozen_words=False))[words])


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
