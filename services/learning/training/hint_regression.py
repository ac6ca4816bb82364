"""Keeps in the embedding what the pretrained encoder knows of a text, beside what the labels ask for.

A network that learns a fixed set of intents forgets what tells no two of them apart; an intent that is added later
needs just that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.learning.datasets.examples import Batch, Example, batches
from services.learning.training.devices import fast_arithmetic, training_device
from services.learning.training.distillation import Loss
from shared.nlu.network import HeadOutputs

__all__ = ["Hints", "pretrained_embeddings"]

TEXTS_AT_ONCE = 128


class Hints:
    """What the embedding of each text shall tell through `regressor`, a linear map that learns with the network.

    After FitNets (Romero et al. 2015), with the whole pretrained encoder as the teacher. A varied text has the hint of
    the text that it was made from.
    """

    def __init__(self, embeddings: Tensor, weight: float) -> None:
        """Of `embeddings` [texts, width]; what all texts share, which in e5 is most, is taken out."""
        self.wanted = functional.normalize(embeddings - embeddings.mean(0), dim=1)
        self.weight = weight
        self.regressor = nn.Linear(embeddings.shape[1], embeddings.shape[1])

    def beside(self, loss: Loss) -> Loss:
        """The loss, and by `weight` how far the embeddings are from telling their hints."""

        def both(outputs: HeadOutputs, batch: Batch) -> Tensor:
            wanted = self.wanted.to(batch.numbers.device)[batch.numbers]
            likeness = functional.cosine_similarity(self.regressor(outputs.embeddings.float()), wanted)
            return loss(outputs, batch) + self.weight * (1 - likeness).mean()

        return both


@torch.no_grad()
def pretrained_embeddings(encoder: nn.Module, examples: Sequence[Example]) -> Tensor:
    """The mean of an encoder's last states over the tokens of each text: [texts, width]."""
    device = training_device()
    encoder = encoder.to(device).eval()
    found: dict[int, Tensor] = {}
    for batch in batches(examples, TEXTS_AT_ONCE):
        batch = batch.to(device)
        with fast_arithmetic(device):
            states: Tensor = encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        mask = batch.attention_mask.unsqueeze(-1)
        means = (states.float() * mask).sum(1) / mask.sum(1)
        found.update(zip(batch.numbers.tolist(), means.cpu(), strict=True))
    return torch.stack([found[number] for number in range(len(examples))])
