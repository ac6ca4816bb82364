"""OpenVINO on the CPU: one compiled model, a stream of one thread for each core.

One-thread streams side by side do more than one batch on many threads, and a batch never waits for another's.
Only ONNX is read and nothing is unpickled. The file is mapped, not copied, which halves the peak of memory.
"""

import queue
from pathlib import Path
from typing import Any

import openvino as ov  # type: ignore[import-untyped]

from services.intent.manifest import MODEL, Manifest, ModelRejected, ModelSource
from services.intent.runtime import Integers, Outputs, Precision

__all__ = ["OpenVinoEngine"]

INPUTS = ("input_ids", "attention_mask")
OUTPUTS = ("intent_logits", "tag_logits", "sentiment_logits", "text_embedding")


class OpenVinoEngine:
    """`model.onnx` of a folder; while every stream is at work, `infer` waits."""

    backend = "openvino"
    device = "cpu"

    def __init__(self, source: ModelSource, *, streams: int) -> None:
        self.streams = streams
        self._model = _read(source.file(MODEL), source.manifest)
        capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.fast: Precision | None = "bf16" if "BF16" in capabilities else None

    def compile(self, precision: Precision) -> None:
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
        self._outputs = [compiled.output(name) for name in OUTPUTS]
        for _ in range(self.streams):
            self._idle.put(compiled.create_infer_request())

    def settle(self) -> None:
        del self._model

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        request = self._idle.get()
        try:
            results = request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True, share_outputs=True)
            # Copies, because the next inference writes over the request's own memory.
            return Outputs(*(results[output].copy() for output in self._outputs))
        finally:
            self._idle.put(request)


def _read(path: Path, manifest: Manifest) -> ov.Model:
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as error:
        raise ModelRejected(f"model {manifest.name} {manifest.version} is no ONNX model that can be read") from error
    labels = (len(manifest.intents), len(manifest.tags), len(manifest.sentiments), None)
    inputs = {name for each in model.inputs for name in each.get_names()}
    outputs = {name: each for each in model.outputs for name in each.get_names()}
    if not inputs.issuperset(INPUTS) or not outputs.keys() >= set(OUTPUTS):
        raise ModelRejected(
            f"model {manifest.name} {manifest.version} needs the inputs {', '.join(INPUTS)} "
            f"and the outputs {', '.join(OUTPUTS)}"
        )
    for name, rank, wanted in zip(OUTPUTS, (2, 3, 2, 2), labels, strict=True):
        shape = outputs[name].get_partial_shape()
        last = shape[rank - 1] if shape.rank.get_length() == rank else None
        if last is None:
            raise ModelRejected(f"model {manifest.name} {manifest.version}: {name} does not have {rank} dimensions")
        if wanted is not None and last.is_static and last.get_length() != wanted:
            raise ModelRejected(
                f"model {manifest.name} {manifest.version}: {name} does not have the {wanted} labels of the manifest"
            )
    return model
