"""OpenVINO on the CPU: one compiled model, a stream of one thread for each core.

One-thread streams side by side do more than one batch on many threads, and a batch never waits for another's.
Only ONNX is read and nothing is unpickled. The file is mapped, not copied, which halves the peak of memory.
"""

import queue
from typing import Any

import openvino as ov  # type: ignore[import-untyped]

from shared.nlu.engines.network import OUTPUTS, check_network, lower_precisions, network_file, network_path
from shared.nlu.engines.runtime import Integers, Library, Outputs, Precision
from shared.nlu.manifest import MODEL, ModelRejected, NetworkSource

__all__ = ["OpenVinoEngine"]


class OpenVinoEngine:
    """`model.onnx` or `model.int8.onnx` of a folder; while every stream is at work, `infer` waits."""

    backend: Library = "openvino"
    device = "cpu"

    def __init__(self, source: NetworkSource, *, streams: int) -> None:
        self.streams = streams
        self._source = source
        self._models: dict[str, Any] = {MODEL: _read(source, MODEL)}
        capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.lower = lower_precisions(source, *(("bf16",) if "BF16" in capabilities else ()))

    def compile(self, precision: Precision) -> None:
        # The requests of an earlier compilation hold its memory; two at once would be the peak of the process.
        self._outputs: list[Any] = []
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        name = network_file(precision)
        if name not in self._models:
            self._models[name] = _read(self._source, name)
        compiled = ov.Core().compile_model(
            self._models[name],
            "CPU",
            {
                # An 8-bit network says itself what is quantised; the rest is computed as when its gate was measured.
                "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
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
        self._models.clear()

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        request = self._idle.get()
        try:
            results = request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True, share_outputs=True)
            # Copies, because the next inference writes over the request's own memory.
            outputs = Outputs(*(results[output].copy() for output in self._outputs))
        finally:
            self._idle.put(request)
        if outputs.tags.shape[:2] != ids.shape:
            # When it cannot allocate, OpenVINO raises nothing and leaves the outputs of an earlier batch.
            raise MemoryError("OpenVINO did not compute the batch")
        return outputs


def _read(source: NetworkSource, name: str) -> Any:
    manifest = source.manifest
    try:
        # Weights beside the network must be in its folder, and in one of links they are not.
        model = ov.Core().read_model(network_path(source, name).resolve())
    except RuntimeError as error:
        raise ModelRejected(f"model {manifest.name} {manifest.version} is no ONNX model that can be read") from error
    shapes = {name: each.get_partial_shape() for each in model.outputs for name in each.get_names()}
    check_network(
        manifest,
        {name for each in model.inputs for name in each.get_names()},
        {name: [each.get_length() if each.is_static else None for each in shape] for name, shape in shapes.items()},
    )
    return model
