"""What a training reports to the program that waits for it."""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Progress", "Report", "Stage"]

Stage = Literal["waiting", "cached", "encoder", "heads", "training", "export", "evaluation", "quantisation"]


class Progress(BaseModel):
    """Where a training is: `done` of `total` steps of a stage."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    done: int
    total: int
    detail: str = ""


Report = Callable[[Progress], None]
