"""Fine-tunes the encoder and its heads; may be stopped at any moment and goes on from the last whole epoch."""

import math
import os
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.learning.examples import IGNORED, Batch, Encoder, batches
from services.learning.progress import Epoch, Progress, Report
from services.learning.variation import Variation
from shared.assistants import TrainingSettings, Utterance
from shared.understander import Outputs, Understander

__all__ = ["Fitted", "fit"]

WEIGHT_DECAY = 0.01
WARM_UP = 0.1
HEAD_RATE = 5.0  # the heads start from nothing and learn this many times faster
TAG_WEIGHT = 1.0
SENTIMENT_WEIGHT = 0.5
CLIP = 1.0


@dataclass(frozen=True)
class Fitted:
    """The model as it was after its best epoch, and the history."""

    model: Understander
    history: tuple[Epoch, ...]


@dataclass
class _State:
    """What a stopped training needs to go on."""

    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: float = -math.inf
    best_epoch: int = 0


def fit(
    model: Understander,
    encoder: Encoder,
    training: Sequence[Utterance],
    validation: Sequence[Utterance],
    settings: TrainingSettings,
    *,
    checkpoint: Path,
    progress: Report,
) -> Fitted:
    """Trains until validation stops improving or the epochs are over; `checkpoint` is written after each epoch."""
    validation_batches = list(batches(encoder.encode(validation), settings.batch_size * 2))
    variation = Variation.of(training)
    steps_an_epoch = math.ceil(len(training) / settings.batch_size)
    steps = steps_an_epoch * settings.epochs
    learner = _Learner(model, settings, steps)
    state = learner.restore(checkpoint)
    for number in range(len(state.history) + 1, settings.epochs + 1):
        if number - state.best_epoch > settings.patience and state.history:
            break
        draw = random.Random(f"{settings.seed} {number}")
        torch.manual_seed(settings.seed * 1000 + number)
        examples = encoder.encode(variation.vary(training, draw))
        losses: list[float] = []
        for batch in batches(examples, settings.batch_size, draw):
            losses.append(learner.step(batch))
            done = steps_an_epoch * (number - 1) + len(losses)
            progress(Progress(stage="training", done=done, total=steps, detail=f"epoch {number} of {settings.epochs}"))
        loss, accuracy = _validate(model, validation_batches)
        state.history.append(
            Epoch(
                number=number,
                loss=sum(losses) / len(losses),
                validation_loss=loss,
                validation_accuracy=accuracy,
            )
        )
        score = accuracy - 0.01 * loss
        if score > state.best_score:
            state.best = {name: value.detach().clone() for name, value in learner.learned().items()}
            state.best_score, state.best_epoch = score, number
        learner.save(checkpoint, state)
    model.load_state_dict(state.best, strict=False)
    progress(Progress(stage="training", done=steps, total=steps, detail=f"best epoch {state.best_epoch}"))
    return Fitted(model, tuple(state.history))


class _Learner:
    """The model with its optimizer and its rate: what one step changes."""

    def __init__(self, model: Understander, settings: TrainingSettings, steps: int) -> None:
        self.model = model
        self.settings = settings
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, weights in model.named_parameters():
            if weights.requires_grad:
                rate = settings.learning_rate * (1.0 if name.startswith("encoder.") else HEAD_RATE)
                decay = 0.0 if weights.ndim < 2 else WEIGHT_DECAY
                groups.setdefault((rate, decay), []).append(weights)
        self.optimizer = torch.optim.AdamW(
            [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()],
            fused=True,
        )
        warm = max(1, int(steps * WARM_UP))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: (step + 1) / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm)),
        )
        self.weights = [weights for group in groups.values() for weights in group]

    def step(self, batch: Batch) -> float:
        self.model.train()
        with fast_arithmetic():
            outputs: Outputs = self.model(batch.input_ids, batch.attention_mask)
        loss = self._loss(outputs, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def _loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        total = torch.zeros(())
        for logits, wanted, weight, smoothing in (
            (outputs.intents, batch.intents, 1.0, self.settings.label_smoothing),
            (outputs.tags.flatten(0, 1), batch.tags.flatten(), TAG_WEIGHT, 0.0),
            (outputs.sentiments, batch.sentiments, SENTIMENT_WEIGHT, self.settings.label_smoothing),
        ):
            kept = wanted != IGNORED
            if bool(kept.any()):
                loss = functional.cross_entropy(logits.float()[kept], wanted[kept], label_smoothing=smoothing)
                total = total + weight * loss
        return total

    def learned(self) -> dict[str, Tensor]:
        return {name: weights for name, weights in self.model.named_parameters() if weights.requires_grad}

    def save(self, path: Path, state: _State) -> None:
        content = {
            "model": self.learned(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": state.best,
            "best_score": state.best_score,
            "best_epoch": state.best_epoch,
            "history": [epoch.model_dump() for epoch in state.history],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        torch.save(content, fresh)
        os.replace(fresh, path)

    def restore(self, path: Path) -> _State:
        if not path.exists():
            return _State()
        content: dict[str, Any] = torch.load(path, weights_only=True)
        self.model.load_state_dict(content["model"], strict=False)
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        return _State(
            history=[Epoch(**epoch) for epoch in content["history"]],
            best=content["best"],
            best_score=content["best_score"],
            best_epoch=content["best_epoch"],
        )


def fast_arithmetic() -> AbstractContextManager[Any]:
    """bfloat16 where the CPU multiplies such matrices in hardware (more than twice as fast), else plain float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu.get_capabilities().get("amx_bf16")))


@torch.inference_mode()
def _validate(model: Understander, examples: Sequence[Batch]) -> tuple[float, float]:
    """Loss and accuracy of the intents."""
    model.eval()
    logits, wanted = [], []
    for batch in examples:
        with fast_arithmetic():
            outputs: Outputs = model(batch.input_ids, batch.attention_mask)
        kept = batch.intents != IGNORED
        logits.append(outputs.intents.float()[kept])
        wanted.append(batch.intents[kept])
    found, right = torch.cat(logits), torch.cat(wanted)
    return float(functional.cross_entropy(found, right)), float((found.argmax(-1) == right).float().mean())
