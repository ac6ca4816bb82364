"""Trains the tiny assistant's network, as often as a test likes."""

from pathlib import Path

import torch
from tokenizers import Tokenizer

from services.learning.datasets.examples import Encoder, Labels, split
from services.learning.progress import Progress
from services.learning.training.encoder import add_adapters, load_encoder
from services.learning.training.trainer import Fitted, fit
from services.learning.training.vocabulary import prune
from shared.nlu.network import Understander
from shared.nlu.training_data import TrainingData

__all__ = ["Bench", "Stopped", "weights"]


class Stopped(Exception):
    """Stands for a process that is killed."""


class Bench:
    """Trains the tiny assistant's model, as often as a test likes."""

    def __init__(self, assistant: TrainingData) -> None:
        self.assistant = assistant
        self.told: list[Progress] = []

    def fit(self, checkpoint: Path, *, stop_in: int = 0, **changes: object) -> Fitted:
        """Trains it; `changes` replace settings, and at epoch `stop_in` the training is cut off."""
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


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    """All weights of a network by name."""
    return fitted.model.state_dict()
