"""What training makes small: the loss of each head, weighted and added up."""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from services.learning.datasets.examples import IGNORED, Batch, Example, Labels
from shared.nlu.network import HeadOutputs
from shared.nlu.training_settings import TrainingSettings

__all__ = ["Objective", "many_hot"]

TAG_WEIGHT = 1.0
SENTIMENT_WEIGHT = 0.5
RAREST = 10.0  # a label counts at most this many times what it would, however rare it is


class Objective:
    """The joint loss of intents, tags and sentiments."""

    def __init__(self, settings: TrainingSettings, labels: Labels, examples: Sequence[Example]) -> None:
        self.multi_intent = settings.multi_intent
        self.smoothing = settings.label_smoothing
        self.intent_weights: Tensor | None = None
        self.sentiment_weights: Tensor | None = None
        if settings.class_weights == "balanced":
            intents = (n for example in examples for n in (example.intent, *example.others))
            self.intent_weights = _balanced(intents, len(labels.intents))
            self.sentiment_weights = _balanced((example.sentiment for example in examples), len(labels.sentiments))

    def __call__(self, outputs: HeadOutputs, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        total = torch.zeros((), device=batch.input_ids.device)
        known = batch.intents[:, 0] != IGNORED
        if bool(known.any()):
            logits, wanted = outputs.intents.float()[known], batch.intents[known]
            total = total + (self._several(logits, wanted) if self.multi_intent else self._one(logits, wanted[:, 0]))
        kept = batch.tags.flatten() != IGNORED
        if bool(kept.any()):
            logits = outputs.tags.flatten(0, 1).float()[kept]
            total = total + TAG_WEIGHT * functional.cross_entropy(logits, batch.tags.flatten()[kept])
        felt = batch.sentiments != IGNORED
        if bool(felt.any()):
            total = total + SENTIMENT_WEIGHT * functional.cross_entropy(
                outputs.sentiments.float()[felt],
                batch.sentiments[felt],
                weight=_beside(self.sentiment_weights, outputs.sentiments),
                label_smoothing=self.smoothing,
            )
        return total

    def _one(self, logits: Tensor, wanted: Tensor) -> Tensor:
        weight = _beside(self.intent_weights, logits)
        return functional.cross_entropy(logits, wanted, weight=weight, label_smoothing=self.smoothing)

    def _several(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Each intent by itself, summed over the intents: most are absent, and a mean would hardly move any."""
        weight = _beside(self.intent_weights, logits)
        target = many_hot(wanted, logits.shape[1])
        losses = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
        return losses.sum(1).mean()


def many_hot(wanted: Tensor, labels: int) -> Tensor:
    """[texts, labels] with 1 for each label that stands in a row of `wanted`, where IGNORED fills up."""
    there = wanted != IGNORED
    target = torch.zeros(len(wanted), labels, device=wanted.device)
    rows = torch.arange(len(wanted), device=wanted.device).unsqueeze(1).expand_as(wanted)
    target[rows[there], wanted[there]] = 1.0
    return target


def _balanced(found: Iterable[int], labels: int) -> Tensor | None:
    """What each label counts: inversely to how often it is there, 1 where it is there as often as the mean."""
    counts = Counter(label for label in found if label != IGNORED)
    if not counts:
        return None
    mean = sum(counts.values()) / len(counts)
    return torch.tensor([min(RAREST, mean / counts[label]) if label in counts else 1.0 for label in range(labels)])


def _beside(weights: Tensor | None, logits: Tensor) -> Tensor | None:
    return None if weights is None else weights.to(logits.device)
