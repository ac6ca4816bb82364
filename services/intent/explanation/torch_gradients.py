"""Integrated gradients by PyTorch's automatic differentiation."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.intent.explanation.attributions import Check, Path
from shared.nlu.manifest import WEIGHTS, ModelRejected, NetworkSource
from shared.nlu.network import WeightsError, read_weights

__all__ = ["TorchGradients"]

Floats = NDArray[np.float32]

BATCH_INTERVALS = 16


class TorchGradients:
    """`weights.safetensors` of a folder in single precision, on the GPU where there is one."""

    def __init__(self, source: NetworkSource, *, neutral: int) -> None:
        self._neutral = neutral
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._model = read_weights(source.file(WEIGHTS)).to(self._device)
        except WeightsError as error:
            raise ModelRejected(str(error)) from error
        encoder: Any = self._model.encoder
        self._words = encoder.get_input_embeddings()

    def scores(self, path: Path, positions: Floats) -> Floats:
        with torch.no_grad():
            scores: Floats = self._logits(path, self._coefficients(path, positions)).cpu().numpy()
        return scores

    def changes(self, path: Path, intervals: Floats, check: Check) -> Floats:
        changes = []
        for first in range(0, len(intervals), BATCH_INTERVALS):
            check()
            batch = intervals[first : first + BATCH_INTERVALS]
            middles = self._coefficients(path, batch.mean(axis=1)).requires_grad_()
            # Rows do not touch each other, so the derivatives of their sum are those of each.
            (slopes,) = torch.autograd.grad(self._logits(path, middles).sum(), middles)
            changes.append(slopes[:, list(path.moved)].cpu().numpy() * np.diff(batch, axis=1))
        return np.concatenate(changes)

    def _coefficients(self, path: Path, positions: Floats) -> Tensor:
        coefficients = torch.ones((len(positions), len(path.ids)))
        coefficients[:, list(path.moved)] = torch.from_numpy(positions)[:, None]
        return coefficients.to(self._device)

    def _logits(self, path: Path, coefficients: Tensor) -> Tensor:
        tokens = torch.tensor([path.ids], device=self._device)
        text, neutral = self._words(tokens), self._words(torch.full_like(tokens, self._neutral))
        vectors = neutral + coefficients[..., None] * (text - neutral)
        hook = self._words.register_forward_hook(lambda *_: vectors)
        try:
            rows = tokens.expand(len(coefficients), -1)
            logits: Tensor = self._model(rows, torch.ones_like(rows)).intents[:, path.intent]
        finally:
            hook.remove()
        return logits
