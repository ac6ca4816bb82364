"""Fits the heads alone, on what the encoder computes as it came: a first model in about a minute.

Every utterance passes the encoder once, and each head is a regression on what came out. Training a whole model passes
every utterance ten times, forwards and backwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from services.learning.datasets.examples import IGNORED, Batch, Example, batches
from services.learning.progress import Progress, Report
from services.learning.training.devices import fast_arithmetic, training_device
from services.learning.training.objective import Objective
from shared.nlu.network import HeadOutputs, Understander
from shared.nlu.training_settings import TrainingSettings

__all__ = ["fit_heads", "heads_only_settings"]

WHOLE = 48  # layers at most, so all of an encoder's
TEXTS_AT_ONCE = 64
TEXT_ITERATIONS, TAG_ITERATIONS = 100, 60
TEXT_PENALTY = 1e-3
TAG_PENALTY = 1e-4
"""Of the squared weights, on inputs of mean 0 and variance 1."""
PLAIN_SHARE = 4
"""One in so many of the utterances without an entity teaches the tags: all words of the others are outside too."""


def heads_only_settings(settings: TrainingSettings) -> TrainingSettings:
    """The settings that fit an encoder that does not change: all its layers, and tags that are seen from several.

    The embedding of the last layer tells intents apart better than that of the sixth, where nothing is fine-tuned.
    """
    return settings.model_copy(
        update={
            "layers": WHOLE,
            "frozen_layers": WHOLE,
            "tag_layers": "mixed",
            "method": "full",
            "hint_weight": 0.0,
            "distillation": None,
        }
    )


def fit_heads(model: Understander, objective: Objective, examples: Sequence[Example], progress: Report) -> Tensor:
    """Sets all heads; the encoder stays as it is.

    Returns:
        The embeddings of `examples`: [texts, width].
    """
    device = training_device()
    model.to(device).eval()
    [whole] = batches(examples, len(examples))
    order = whole.numbers
    seen, embeddings = _states(model, examples, whole, progress)
    texts = replace(whole.to(device), tags=torch.full((len(examples), 1), IGNORED, device=device))

    def of_texts() -> Tensor:
        outputs = HeadOutputs(model.intent_head(inputs), texts.tags, model.sentiment_head(inputs), inputs)
        return objective(outputs, texts)

    inputs, mean, deviation = _standardised(embeddings)
    _regress((model.intent_head, model.sentiment_head), of_texts, TEXT_PENALTY, TEXT_ITERATIONS)
    for head in (model.intent_head, model.sentiment_head):
        _for_raw_inputs(head, mean, deviation)
    if seen:
        states, wanted = (torch.cat(parts) for parts in zip(*seen, strict=True))
        inputs, mean, deviation = _standardised(states)

        def of_tokens() -> Tensor:
            return nn.functional.cross_entropy(model.tag_head(inputs), wanted)

        _regress((model.tag_head,), of_tokens, TAG_PENALTY, TAG_ITERATIONS)
        _for_raw_inputs(model.tag_head, mean, deviation)
    model.cpu()
    return torch.empty_like(embeddings).index_copy_(0, order.to(device), embeddings).cpu()


@torch.no_grad()
def _states(
    model: Understander, examples: Sequence[Example], whole: Batch, progress: Report
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """What the heads are fitted on, in the order of `whole`: inputs and tags of tokens, embeddings [texts, width]."""
    seen: list[tuple[Tensor, Tensor]] = []
    embeddings: list[Tensor] = []
    # The tag head sees what the network gives it; here it only has to be caught.
    caught: list[Tensor] = []
    hook = model.tag_head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    # Short texts come first, so tokens and not texts say how far it is.
    tokens = whole.attention_mask.sum(1).cumsum(0).tolist()
    try:
        for start in range(0, len(whole), TEXTS_AT_ONCE):
            progress(Progress(stage="heads", done=tokens[start - 1] if start else 0, total=tokens[-1]))
            rows = slice(start, start + TEXTS_AT_ONCE)
            longest = int(whole.attention_mask[rows].sum(1).max())
            ids, mask = (part[rows, :longest].to(training_device()) for part in (whole.input_ids, whole.attention_mask))
            with fast_arithmetic(ids.device):
                outputs: HeadOutputs = model(ids, mask)
            embeddings.append(outputs.embeddings.float())
            states = caught.pop().float()
            tags = whole.tags[rows, :longest].to(ids.device)
            teaches = (tags > 0).any(1) | (whole.numbers[rows].to(ids.device) % PLAIN_SHARE == 0)
            kept = (tags != IGNORED) & teaches.unsqueeze(1)
            if bool(kept.any()):
                seen.append((states[kept], tags[kept]))
    finally:
        hook.remove()
    progress(Progress(stage="heads", done=tokens[-1], total=tokens[-1]))
    return seen, torch.cat(embeddings)


def _standardised(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of mean 0 and variance 1, with the mean and the deviation that they had; a regression needs few steps."""
    mean, deviation = inputs.mean(0), inputs.std(0, correction=0).clamp(min=1e-6)
    return (inputs - mean) / deviation, mean, deviation


def _regress(heads: Sequence[nn.Linear], loss: Callable[[], Tensor], penalty: float, iterations: int) -> None:
    weights = [each for head in heads for each in head.parameters()]
    with torch.no_grad():
        for each in weights:
            each.zero_()
    optimizer = torch.optim.LBFGS(weights, max_iter=iterations, history_size=10, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        total = loss() + penalty * torch.stack([head.weight.square().sum() for head in heads]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(step)  # type: ignore[no-untyped-call]


@torch.no_grad()
def _for_raw_inputs(head: nn.Linear, mean: Tensor, deviation: Tensor) -> None:
    """Makes a head that was fitted on standardised inputs answer the same to the inputs as they come."""
    head.weight.div_(deviation)
    head.bias.sub_(head.weight @ mean)
