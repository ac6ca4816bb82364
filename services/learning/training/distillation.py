"""Teaches a small model what a large one says, beside what the labels say (Hinton et al. 2015)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from services.learning.datasets.examples import IGNORED, Batch
from services.learning.training.devices import fast_arithmetic
from shared.nlu.network import HeadOutputs, Understander
from shared.nlu.training_settings import Distillation, TrainingSettings

__all__ = ["Loss", "Teacher", "teacher_settings"]

TAG_WEIGHT = 1.0
SENTIMENT_WEIGHT = 0.5
EMBEDDING_WEIGHT = 1.0

Loss = Callable[[HeadOutputs, Batch], Tensor]


def teacher_settings(settings: TrainingSettings, distillation: Distillation) -> TrainingSettings:
    """How the teacher is trained: as the student, but with more layers."""
    return settings.model_copy(
        update={
            "layers": distillation.teacher_layers,
            "frozen_layers": distillation.teacher_frozen_layers,
            "learning_rate": distillation.teacher_learning_rate,
            "distillation": None,
        }
    )


class Teacher:
    """A trained model that changes no more."""

    def __init__(self, model: Understander, settings: Distillation, *, several: bool) -> None:
        self.model = model.eval().requires_grad_(False)
        self.settings = settings
        self.several = several

    def beside(self, loss: Loss) -> Loss:
        """The loss by the labels and that by the teacher in one, by the weight that the settings give the teacher.

        The teacher is asked about the same texts as the student, however they were varied.
        """

        def mixed(outputs: HeadOutputs, batch: Batch) -> Tensor:
            weight = self.settings.weight
            return (1 - weight) * loss(outputs, batch) + weight * self._loss(outputs, batch)

        return mixed

    def _loss(self, outputs: HeadOutputs, batch: Batch) -> Tensor:
        device = batch.input_ids.device
        with torch.no_grad(), fast_arithmetic(device):
            taught: HeadOutputs = self.model.to(device)(batch.input_ids, batch.attention_mask)
        if self.several:
            right = torch.sigmoid(taught.intents.float())
            logits = outputs.intents.float()
            intents = functional.binary_cross_entropy_with_logits(logits, right, reduction="none").sum(1).mean()
        else:
            intents = self._divergence(outputs.intents, taught.intents)
        total = intents + SENTIMENT_WEIGHT * self._divergence(outputs.sentiments, taught.sentiments)
        tagged = batch.tags != IGNORED
        if bool(tagged.any()):
            total = total + TAG_WEIGHT * self._divergence(outputs.tags[tagged], taught.tags[tagged])
        if outputs.embeddings.shape == taught.embeddings.shape:
            likeness = functional.cosine_similarity(outputs.embeddings.float(), taught.embeddings.float())
            total = total + EMBEDDING_WEIGHT * (1 - likeness).mean()
        return total

    def _divergence(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Kullback and Leibler's, of softened answers; the square of the temperature keeps the size of its gradient."""
        heat = self.settings.temperature
        found = functional.log_softmax(logits.float() / heat, -1)
        right = functional.log_softmax(taught.float() / heat, -1)
        divergence: Tensor = functional.kl_div(found, right, reduction="batchmean", log_target=True)
        return divergence * heat**2
