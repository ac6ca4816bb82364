"""What a training reports to the program that waits for it."""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Epoch", "Progress", "Report", "Stage"]

Stage = Literal["waiting", "cached", "encoder", "heads", "training", "export", "evaluation", "quantisation"]


class Progress(BaseModel):
    """Where a training is: `done` of `total` steps of a stage."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    done: int
    total: int
    detail: str = ""


Report = Callable[[Progress], None]


class Epoch(BaseModel):
    """What one epoch brought: the mean training loss; in validation loss and accuracy of intents, F1 of entities."""

    model_config = ConfigDict(frozen=True)

    number: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    validation_entity_f1: float | None = None
