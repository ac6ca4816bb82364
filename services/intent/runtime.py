"""The model's arithmetic behind one seam: an engine computes batches; the runtime pads them, and warms the engine.

The runtime also decides, alike for every engine, whether a lower precision may be computed in.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from services.intent.manifest import Manifest, ModelRejected

__all__ = ["LENGTH_STEP", "Engine", "Outputs", "Precision", "Runtime", "available_cores", "softmax"]

Precision = Literal["auto", "bf16", "f16", "f32"]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Tokens = Sequence[Sequence[int]]

LENGTH_STEP = 8
"""Batches are padded to a multiple of this: each new shape compiles kernels once, so their number must be small."""
WARM_LENGTHS = range(LENGTH_STEP, 8 * LENGTH_STEP + 1, LENGTH_STEP)
WARM_BATCHES = (1, 2, 4, 8)
WARM_TOKENS = 256
DOUBTFUL_MARGIN = 0.05
"""Where the two best intents are closer than this in probability, their order is chance in either precision."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits: intents [texts, intents], tags [texts, tokens, tags], sentiments [texts, 3]; embeddings [texts, width].

    An embedding is the mean over the text's tokens, of any length.
    """

    intents: Floats
    tags: Floats
    sentiments: Floats
    embeddings: Floats


class Engine(Protocol):
    """A model in the hands of one library on one device; `infer` may be called from `streams` threads at once."""

    backend: str
    device: str
    streams: int
    fast: Precision | None
    """The lower precision that the device computes faster in, if there is one."""

    def compile(self, precision: Precision) -> None:
        """Makes the model ready to compute in a precision, in the place of any earlier one."""

    def settle(self) -> None:
        """Gives back what only another `compile` would need."""

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        """The logits for token ids and their mask, both [texts, tokens]."""


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Runtime:
    """A warm model; `infer` may be called from as many threads as there are streams."""

    def __init__(
        self, engine: Engine, manifest: Manifest, *, precision: Precision, padding_id: int, probes: Tokens
    ) -> None:
        """Compiles and warms the model.

        `auto` takes the device's fast precision where the model's decisions on the probes do not change.
        """
        self.backend, self.device, self.streams = engine.backend, engine.device, engine.streams
        self._engine = engine
        self._manifest = manifest
        self._padding_id = padding_id
        self.precision: Precision = "f32" if precision == "auto" else precision
        engine.compile(self.precision)
        plain = self.infer(probes)
        if not _finite(plain):
            raise ModelRejected(f"model {manifest.name} {manifest.version} computes values that are no numbers")
        if precision == "auto" and engine.fast is not None:
            engine.compile(engine.fast)
            if _agree(plain, self.infer(probes)):
                self.precision = engine.fast
            else:
                engine.compile("f32")
        engine.settle()
        self._warm()

    def infer(self, tokens: Tokens) -> Outputs:
        """The logits for some texts, each given as its token ids; waits while every stream is at work."""
        return self._engine.infer(*self._padded(tokens))

    def width(self, longest: int) -> int:
        """The tokens that each row of a batch gets when its longest text has `longest`."""
        # Never beyond max_tokens: the model may have no position for more.
        return min(-(-max(longest, 1) // LENGTH_STEP) * LENGTH_STEP, self._manifest.max_tokens)

    def _padded(self, tokens: Tokens) -> tuple[Integers, Integers]:
        width = self.width(max(map(len, tokens)))
        ids = np.full((len(tokens), width), self._padding_id, dtype=np.int64)
        mask = np.zeros((len(tokens), width), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            # A text without tokens still has one place that is read: a mean over nothing is no number.
            mask[row, : max(len(text), 1)] = 1
        return ids, mask

    def _warm(self) -> None:
        for batch in WARM_BATCHES:
            for length in WARM_LENGTHS:
                if length <= self._manifest.max_tokens and batch * length <= WARM_TOKENS:
                    self.infer([[self._padding_id] * length] * batch)


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    # Rounding may lift one of them a hair above one.
    result: Floats = np.minimum(powers / powers.sum(axis=-1, keepdims=True), np.float32(1))
    return result


def _finite(outputs: Outputs) -> bool:
    every = (outputs.intents, outputs.tags, outputs.sentiments, outputs.embeddings)
    return all(bool(np.isfinite(each).all()) for each in every)


def _agree(plain: Outputs, fast: Outputs) -> bool:
    best = np.sort(softmax(plain.intents), axis=1)
    sure = best[:, -1] - best[:, -2] >= DOUBTFUL_MARGIN
    return _finite(fast) and bool((plain.intents.argmax(1) == fast.intents.argmax(1))[sure].all())
