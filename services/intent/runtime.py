"""The model's arithmetic: OpenVINO on the CPU, one compiled model, a stream of one thread for each core.

One-thread streams side by side do more than one batch on many threads, and a batch never waits for another's.
Only ONNX is read and nothing is unpickled. The file is mapped, not copied, which halves the peak of memory.
"""

import os
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov  # type: ignore[import-untyped]
from numpy.typing import NDArray

from services.intent.manifest import Manifest, ModelRejected

__all__ = ["LENGTH_STEP", "Outputs", "Precision", "Runtime", "available_cores", "softmax"]

Precision = Literal["auto", "bf16", "f32"]
Floats = NDArray[np.float32]
Tokens = Sequence[Sequence[int]]

INPUTS = ("input_ids", "attention_mask")
LENGTH_STEP = 8
"""Batches are padded to a multiple of this: each new shape compiles kernels once, so their number must be small."""
WARM_LENGTHS = range(LENGTH_STEP, 8 * LENGTH_STEP + 1, LENGTH_STEP)
WARM_BATCHES = (1, 2, 4, 8)
WARM_TOKENS = 256
DOUBTFUL_MARGIN = 0.05
"""Where the two best intents are closer than this in probability, their order is chance in either precision."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits: intents [texts, intents], tags [texts, tokens, tags], sentiments [texts, 3]."""

    intents: Floats
    tags: Floats
    sentiments: Floats


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Runtime:
    """A compiled model; `infer` may be called from as many threads as there are streams."""

    def __init__(
        self, path: Path, manifest: Manifest, *, streams: int, precision: Precision, padding_id: int, probes: Tokens
    ) -> None:
        """Compiles and warms the model.

        `auto` takes bf16 where the CPU computes in it and the model's decisions on the probes do not change.
        """
        self.streams = streams
        self._manifest = manifest
        self._padding_id = padding_id
        self._model = _read(path, manifest)
        self.precision: Precision = "f32" if precision == "auto" else precision
        self._compile(self.precision)
        plain = self.infer(probes)
        if not all(np.isfinite(each).all() for each in (plain.intents, plain.tags, plain.sentiments)):
            raise ModelRejected(f"model {manifest.name} {manifest.version} computes values that are no numbers")
        if precision == "auto" and "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            self._compile("bf16")
            if self._agree(plain, self.infer(probes)):
                self.precision = "bf16"
            else:
                self._compile("f32")
        del self._model
        self._warm()

    def infer(self, tokens: Tokens) -> Outputs:
        """The logits for some texts, each given as its token ids; waits while every stream is at work."""
        ids, mask = self._padded(tokens)
        request = self._idle.get()
        try:
            results = request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True, share_outputs=True)
            # Copies, because the next inference writes over the request's own memory.
            return Outputs(*(results[output].copy() for output in self._outputs))
        finally:
            self._idle.put(request)

    def width(self, longest: int) -> int:
        """The tokens that each row of a batch gets when its longest text has `longest`."""
        # Never beyond max_tokens: the model may have no position for more.
        return min(-(-max(longest, 1) // LENGTH_STEP) * LENGTH_STEP, self._manifest.max_tokens)

    def _compile(self, precision: str) -> None:
        # The requests of an earlier compilation hold its memory; two at once would be the peak of the process.
        self._outputs: list[Any] = []
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        compiled = ov.Core().compile_model(
            self._model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "NUM_STREAMS": str(self.streams),
                "INFERENCE_NUM_THREADS": str(self.streams),
                # Pinned streams would fight over the first cores with every other process that pins its own.
                "ENABLE_CPU_PINNING": "NO",
            },
        )
        self._outputs = [compiled.output(name) for name in ("intent_logits", "tag_logits", "sentiment_logits")]
        for _ in range(self.streams):
            self._idle.put(compiled.create_infer_request())

    def _padded(self, tokens: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        width = self.width(max(map(len, tokens)))
        ids = np.full((len(tokens), width), self._padding_id, dtype=np.int64)
        mask = np.zeros((len(tokens), width), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            # A text without tokens still has one place that is read: a mean over nothing is no number.
            mask[row, : max(len(text), 1)] = 1
        return ids, mask

    def _agree(self, plain: Outputs, fast: Outputs) -> bool:
        best = np.sort(softmax(plain.intents), axis=1)
        sure = best[:, -1] - best[:, -2] >= DOUBTFUL_MARGIN
        return bool((plain.intents.argmax(1) == fast.intents.argmax(1))[sure].all()) and bool(
            np.isfinite(fast.intents).all()
        )

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


def _read(path: Path, manifest: Manifest) -> ov.Model:
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as error:
        raise ModelRejected(f"model {manifest.name} {manifest.version} is no ONNX model that can be read") from error
    widths = {
        "intent_logits": (2, len(manifest.intents)),
        "tag_logits": (3, len(manifest.tags)),
        "sentiment_logits": (2, len(manifest.sentiments)),
    }
    inputs = {name for each in model.inputs for name in each.get_names()}
    outputs = {name: each for each in model.outputs for name in each.get_names()}
    if not inputs.issuperset(INPUTS) or not outputs.keys() >= widths.keys():
        raise ModelRejected(
            f"model {manifest.name} {manifest.version} needs the inputs {', '.join(INPUTS)} "
            f"and the outputs {', '.join(widths)}"
        )
    for name, (rank, labels) in widths.items():
        shape = outputs[name].get_partial_shape()
        if shape.rank.get_length() != rank or (shape[rank - 1].is_static and shape[rank - 1].get_length() != labels):
            raise ModelRejected(
                f"model {manifest.name} {manifest.version}: {name} does not have the {labels} labels of the manifest"
            )
    return model
