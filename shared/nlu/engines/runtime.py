"""The model's arithmetic behind one seam: an engine computes batches; the runtime pads them, and warms the engine.

The runtime also decides, alike for every engine, whether a lower precision may be computed in.
"""

import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.nlu.manifest import ModelRejected, NetworkManifest

__all__ = [
    "BATCH_TOKENS",
    "LENGTH_STEP",
    "Engine",
    "Library",
    "OutOfMemory",
    "Outputs",
    "Precision",
    "Runtime",
    "Tokens",
    "available_cores",
    "softmax",
]

Library = Literal["openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "bf16", "f16", "f32", "int8"]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Tokens = Sequence[Sequence[int]]

BATCH_TOKENS = 512
"""Tokens of a batch with its padding: beyond this a larger batch does no more a second, and everyone in it waits."""
LENGTH_STEP = 8
"""Batches are padded to a multiple of this: each new shape compiles kernels once, so their number must be small."""
WARM_LENGTHS = range(LENGTH_STEP, 8 * LENGTH_STEP + 1, LENGTH_STEP)
WARM_BATCHES = (1, 2, 4, 8)
WARM_TOKENS = 256
TRIAL_LENGTH = 16
TRIAL_BATCHES = (1, 8)
TRIAL_ROUNDS = 3
"""The first round compiles kernels."""
NEARLY = 0.8
"""Measurements differ by so much when the machine has other work, and half the width takes less memory for certain."""
DOUBTFUL_MARGIN = 0.05
"""Where the two best intents are closer than this in probability, their order is chance in either precision."""
EXHAUSTED = re.compile(r"bad[_ ]alloc|out of memory|(not|can't|cannot|could not|failed to) (enough |allocate )", re.I)
"""How the libraries, which have no error type of their own in common, say that memory ran out."""


class OutOfMemory(Exception):
    """A batch needs more memory than there is; nothing of it is kept, and a smaller one can be computed next."""


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

    backend: Library
    device: str
    streams: int
    lower: tuple[Precision, ...]
    """What the device may compute faster in than in f32; int8 only of a model that passed the gate."""

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
        self, engine: Engine, manifest: NetworkManifest, *, precision: Precision, padding_id: int, probes: Tokens
    ) -> None:
        """Compiles the model.

        `auto` takes the fastest of f32 and the engine's lower precisions in which the model's decisions on the probes
        do not change, and half the width also where that is about as fast; what each computes a second is then in
        `measured`. int8 was compared when it was made.
        """
        self.backend, self.device, self.streams = engine.backend, engine.device, engine.streams
        self.measured: dict[Precision, float] = {}
        self._engine = engine
        self._manifest = manifest
        self._padding_id = padding_id
        self.precision: Precision = "f32" if precision == "auto" else precision
        engine.compile(self.precision)
        plain = self.infer(probes)
        self.dimension: int = plain.embeddings.shape[1]
        if not _finite(plain):
            raise ModelRejected(f"model {manifest.name} {manifest.version} computes values that are no numbers")
        if precision == "auto" and engine.lower:
            self._take_fastest(plain, probes)
        engine.settle()

    def _take_fastest(self, plain: Outputs, probes: Tokens) -> None:
        speeds = {self.precision: self.measure()}
        compiled = best = self.precision
        for lower in self._engine.lower:
            self._engine.compile(lower)
            compiled = lower
            if lower == "int8" or _agree(plain, self.infer(probes)):
                speeds[lower] = self.measure()
                if speeds[lower] > speeds[best] * (1 if lower == "int8" else NEARLY):
                    best = lower
        if compiled != best:
            self._engine.compile(best)
        self.precision = best
        self.measured = speeds

    def measure(self) -> float:
        """Texts a second of short sentences, alone and several together, while every stream is at work.

        The best of a few rounds counts: other work on the machine can only make one slower.
        """
        if self.precision in self.measured:
            return self.measured[self.precision]
        text = [self._padding_id] * min(TRIAL_LENGTH, self._manifest.max_tokens)
        seconds = 0.0
        with ThreadPoolExecutor(self.streams) as pool:
            for size in TRIAL_BATCHES:
                seconds += min(self._round(pool, [text] * size) for _ in range(TRIAL_ROUNDS))
        return self.streams * sum(TRIAL_BATCHES) / seconds

    def _round(self, pool: ThreadPoolExecutor, batch: Tokens) -> float:
        started = time.perf_counter()
        list(pool.map(self.infer, [batch] * self.streams))
        return time.perf_counter() - started

    def warm(self) -> None:
        """Computes the shapes that most batches have, because a shape's first batch takes longer."""
        for batch in WARM_BATCHES:
            for length in WARM_LENGTHS:
                if length <= self._manifest.max_tokens and batch * length <= WARM_TOKENS:
                    self.infer([[self._padding_id] * length] * batch)

    def infer(self, tokens: Tokens) -> Outputs:
        """The logits for some texts, each given as its token ids; waits while every stream is at work.

        Raises:
            OutOfMemory: there is not enough memory for this batch.
        """
        try:
            return self._engine.infer(*self._padded(tokens))
        except Exception as error:
            if isinstance(error, MemoryError) or EXHAUSTED.search(str(error)):
                raise OutOfMemory(f"{len(tokens)} texts of up to {max(map(len, tokens))} tokens") from error
            raise

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
