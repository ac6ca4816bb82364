"""Lets the heads start from what they can tell of the encoder as it came, before anything of it changes."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from services.learning.datasets.examples import IGNORED, Batch, Example, batches
from services.learning.training.devices import fast_arithmetic, training_device
from services.learning.training.objective import Objective
from shared.nlu.network import HeadOutputs, Understander

__all__ = ["probe"]

TEXTS_AT_ONCE = 128
ITERATIONS = 200
PENALTY = 0.05  # of the squared weights, shared among the texts


def probe(model: Understander, objective: Objective, examples: Sequence[Example]) -> None:
    """Sets the heads of intents and sentiments to a logistic regression on the embeddings of `examples`.

    Fine-tuning from there keeps more of what the encoder knew than from heads that know nothing (Kumar et al. 2022).
    """
    device = training_device()
    model.to(device).eval()
    [whole] = batches(examples, len(examples))
    whole = replace(whole.to(device), tags=torch.full((len(examples), 1), IGNORED, device=device))
    embeddings = _embeddings(model, whole)
    # What the penalty does must not depend on how long the encoder's embeddings are.
    size = embeddings.square().sum(1).mean()
    heads = (model.intent_head, model.sentiment_head)
    optimizer = torch.optim.LBFGS(
        [weights for head in heads for weights in head.parameters()], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        outputs = HeadOutputs(model.intent_head(embeddings), whole.tags, model.sentiment_head(embeddings), embeddings)
        weights = torch.stack([head.weight.square().sum() for head in heads]).sum()
        total = objective(outputs, whole) + PENALTY / len(examples) * size * weights
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]


@torch.no_grad()
def _embeddings(model: Understander, whole: Batch) -> Tensor:
    """[texts, width]; texts of similar length stand together."""
    found = []
    for start in range(0, len(whole), TEXTS_AT_ONCE):
        rows = slice(start, start + TEXTS_AT_ONCE)
        mask = whole.attention_mask[rows, : int(whole.attention_mask[rows].sum(1).max())]
        with fast_arithmetic(mask.device):
            outputs: HeadOutputs = model(whole.input_ids[rows, : mask.shape[1]], mask)
        found.append(outputs.embeddings.float())
    return torch.cat(found)
