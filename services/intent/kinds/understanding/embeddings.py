"""Sentence vectors as they are handed out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["normalised"]

Floats = NDArray[np.float32]


def normalised(embeddings: Sequence[Floats]) -> Floats:
    """The vectors [texts, width] with length one, so that their products are cosines; a zero vector stays zero."""
    vectors = np.stack(embeddings)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Floats = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return result
