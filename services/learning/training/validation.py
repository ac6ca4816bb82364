"""How well a model does on the validation part, after each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.learning.datasets.examples import IGNORED, Batch, Labels
from services.learning.training.devices import fast_arithmetic
from services.learning.training.objective import many_hot
from shared.nlu.bio_tags import TagDecoder
from shared.nlu.network import HeadOutputs, Understander

__all__ = ["Validation", "validate"]


@dataclass(frozen=True)
class Validation:
    """Loss and accuracy of the intents, or of the sentiments where no intent is taught; F1 of the entities, if any.

    Of several intents in a text all and no other must be found for the text to be right. `texts` and `entities` are
    what was measured on.
    """

    loss: float
    accuracy: float
    texts: int
    entity_f1: float | None
    entities: int

    @property
    def score(self) -> float:
        """What is to be high: a text counts as much as an entity, and between equals the surer model."""
        right = self.accuracy * self.texts + (self.entity_f1 or 0.0) * self.entities
        return right / (self.texts + self.entities) - 0.01 * self.loss


@torch.inference_mode()
def validate(model: Understander, examples: Sequence[Batch], labels: Labels, *, multi_intent: bool) -> Validation:
    """Measures the model as it is; it is left in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    intents: list[tuple[Tensor, Tensor]] = []
    sentiments: list[tuple[Tensor, Tensor]] = []
    entities = _EntityCount(labels)
    for batch in examples:
        there = batch.to(device)
        with fast_arithmetic(device):
            outputs: HeadOutputs = model(there.input_ids, there.attention_mask)
        known, felt = batch.intents[:, 0] != IGNORED, batch.sentiments != IGNORED
        intents.append((outputs.intents.float().cpu()[known], batch.intents[known]))
        sentiments.append((outputs.sentiments.float().cpu()[felt], batch.sentiments[felt]))
        entities.add(outputs.tags.float().cpu(), batch.tags)
    taught = any(len(logits) for logits, _wanted in intents)
    if not taught:
        loss, accuracy = _of_one(sentiments)
    elif multi_intent:
        loss, accuracy = _of_several(intents)
    else:
        loss, accuracy = _of_one([(logits, wanted[:, 0]) for logits, wanted in intents])
    texts = sum(len(logits) for logits, _wanted in (intents if taught else sentiments))
    return Validation(loss, accuracy, texts, entities.f1(), entities.wanted)


def _of_one(found: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    logits, wanted = (torch.cat(parts) for parts in zip(*found, strict=True))
    return float(functional.cross_entropy(logits, wanted)), float((logits.argmax(-1) == wanted).float().mean())


def _of_several(found: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    logits = torch.cat([part for part, _wanted in found])
    wanted = torch.cat([many_hot(rows, logits.shape[1]) for _logits, rows in found])
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1).mean()
    return float(loss), float(((logits > 0) == wanted.bool()).all(1).float().mean())


class _EntityCount:
    """Entities that were there, that were found, and that were found rightly, by their tokens."""

    def __init__(self, labels: Labels) -> None:
        self.decoder = TagDecoder(labels.tags, labels.neighbours)
        self.wanted = self.found = self.right = 0

    def add(self, logits: Tensor, tags: Tensor) -> None:
        for row, gold in zip(logits, tags, strict=True):
            kept = gold != IGNORED
            if not bool(kept.any()):
                continue
            found = self._entities(row[kept])
            wanted = self._entities(functional.one_hot(gold[kept], logits.shape[-1]).float())
            self.wanted += len(wanted)
            self.found += len(found)
            self.right += len(wanted & found)

    def _entities(self, logits: Tensor) -> set[tuple[str, int, int]]:
        table = np.asarray(logits.numpy(), np.float32)
        places = [(number, number + 1) for number in range(len(table))]
        return {(span.name, span.start, span.end) for span in self.decoder.decode(table, places)}

    def f1(self) -> float | None:
        """None where no text has an entity."""
        return 2 * self.right / (self.wanted + self.found) if self.wanted else None
