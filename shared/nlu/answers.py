"""What one pass of the model says of one text, as far as the caller asked."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.contracts.understanding import Understanding

__all__ = ["Answer", "Task"]

Task = Literal["understand", "embed"]
"""What a caller asks for; texts of all tasks share a batch, and only the work after the pass differs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Calibrated probabilities and raw `logits` [intents], the embedding [width] of any length.

    The meaning is there if it was asked for.
    """

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    understanding: Understanding | None
