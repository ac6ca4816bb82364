"""Fine-tunes the encoder and its heads; may be stopped at any moment and goes on from the last whole epoch."""

import math
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from services.learning.datasets.examples import Batch, Encoder, batches
from services.learning.datasets.variation import Variation
from services.learning.progress import Progress, Report
from services.learning.training.devices import fast_arithmetic, training_device
from services.learning.training.distillation import Loss, Teacher
from services.learning.training.hint_regression import Hints
from services.learning.training.objective import Objective
from services.learning.training.validation import validate
from shared.nlu.network import HeadOutputs, Understander
from shared.nlu.training_data import Utterance
from shared.nlu.training_settings import TrainingSettings

__all__ = ["Fitted", "fit"]

WEIGHT_DECAY = 0.01
WARM_UP = 0.1
HEAD_RATE = 5.0  # heads that start from nothing learn this many times faster
PROBED = ("intent_head.", "sentiment_head.")
CLIP = 1.0


class Epoch(BaseModel):
    """What one epoch brought: the mean training loss; in validation loss and accuracy of intents, F1 of entities."""

    model_config = ConfigDict(frozen=True)

    number: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    validation_entity_f1: float | None = None


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
    teacher: Teacher | None = None,
    hints: Hints | None = None,
) -> Fitted:
    """Trains until validation stops improving or the epochs are over; `checkpoint` is written after each epoch."""
    validation_batches = list(batches(encoder.encode(validation), settings.batch_size * 2))
    only_values = settings.variation == "values"
    variation = Variation.of(training, only_values=only_values) if settings.variation else None
    unvaried = encoder.encode(training)
    steps_an_epoch = math.ceil(len(training) / settings.batch_size)
    steps = steps_an_epoch * settings.epochs
    objective = Objective(settings, encoder.labels, unvaried)
    loss: Loss = teacher.beside(objective) if teacher else objective
    if hints:
        model.regressor = hints.regressor
        loss = hints.beside(loss)
    learner = _Learner(model, settings, steps, loss)
    state = learner.restore(checkpoint)
    for number in range(len(state.history) + 1, settings.epochs + 1):
        if number - state.best_epoch > settings.patience and state.history:
            break
        draw = random.Random(f"{settings.seed} {number}")
        torch.manual_seed(settings.seed * 1000 + number)
        examples = encoder.encode(variation.vary(training, draw)) if variation else unvaried
        losses: list[float] = []
        for batch in batches(examples, settings.batch_size, draw):
            losses.append(learner.step(batch))
            done = steps_an_epoch * (number - 1) + len(losses)
            progress(Progress(stage="training", done=done, total=steps, detail=f"epoch {number} of {settings.epochs}"))
        with learner.kept():
            found = validate(model, validation_batches, encoder.labels, multi_intent=settings.multi_intent)
            if found.score > state.best_score:
                state.best = {name: value.detach().clone() for name, value in learner.learned().items()}
                state.best_score, state.best_epoch = found.score, number
        state.history.append(
            Epoch(
                number=number,
                loss=sum(losses) / len(losses),
                validation_loss=found.loss,
                validation_accuracy=found.accuracy,
                validation_entity_f1=found.entity_f1,
            )
        )
        learner.save(checkpoint, state)
    model.load_state_dict(state.best, strict=False)
    model.regressor = None
    model.cpu()
    progress(Progress(stage="training", done=steps, total=steps, detail=f"best epoch {state.best_epoch}"))
    return Fitted(model, tuple(state.history))


class _Learner:
    """The model with its optimizer and its rate: what one step changes."""

    def __init__(self, model: Understander, settings: TrainingSettings, steps: int, objective: Loss) -> None:
        self.device = training_device()
        self.model = model.to(self.device)
        self.objective = objective
        self.decay = settings.averaging
        self.steps = 0
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, weights in model.named_parameters():
            if weights.requires_grad:
                known = name.startswith(("encoder.", *PROBED) if settings.probe else "encoder.")
                rate = settings.learning_rate * (1.0 if known else HEAD_RATE)
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
        self.average = [weights.detach().clone() for weights in self.weights] if self.decay else []
        self.share = settings.interpolation
        self.start = [weights.detach().clone() for weights in self.weights] if self.share < 1 else []

    def step(self, batch: Batch) -> float:
        self.model.train()
        batch = batch.to(self.device)
        with fast_arithmetic(self.device):
            outputs: HeadOutputs = self.model(batch.input_ids, batch.attention_mask)
        loss = self.objective(outputs, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        if self.average:
            # The first steps count little: the average would otherwise stay near where training began.
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(self.average, [weights.detach() for weights in self.weights], 1 - decay)
        return float(loss.detach())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The model with the weights that are kept: their moving average, if there is one, drawn towards the start."""
        last = [weights.detach().clone() for weights in self.weights]
        kept = self.average or last
        if self.start:
            kept = [start.lerp(value, self.share) for start, value in zip(self.start, kept, strict=True)]
        self._put(kept)
        try:
            yield
        finally:
            self._put(last)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for weights, value in zip(self.weights, values, strict=True):
            weights.copy_(value)

    def learned(self) -> dict[str, Tensor]:
        return {name: weights for name, weights in self.model.named_parameters() if weights.requires_grad}

    def save(self, path: Path, state: _State) -> None:
        content = {
            "model": self.learned(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average,
            "steps": self.steps,
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
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location=self.device)
        self.model.load_state_dict(content["model"], strict=False)
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        self.average, self.steps = content["average"], content["steps"]
        return _State(
            history=[Epoch(**epoch) for epoch in content["history"]],
            best=content["best"],
            best_score=content["best_score"],
            best_epoch=content["best_epoch"],
        )
