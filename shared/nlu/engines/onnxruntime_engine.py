"""ONNX Runtime on any CPU: one session without threads of its own, shared by a caller a stream.

The callers share the weights and the arena that their buffers come from. Only ONNX is read and nothing is unpickled.
"""

from typing import Any

import onnxruntime  # type: ignore[import-untyped]
from onnxruntime.capi.onnxruntime_pybind11_state import (  # type: ignore[import-untyped]
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)

from shared.nlu.engines.network import OUTPUTS, check_network, lower_precisions, network_file, network_path
from shared.nlu.engines.runtime import Integers, Library, Outputs, Precision
from shared.nlu.manifest import ModelRejected, NetworkSource

__all__ = ["OnnxRuntimeEngine"]

UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)
ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """`model.onnx` or `model.int8.onnx` of a folder, in f32 or int8."""

    backend: Library = "onnxruntime"
    device = "cpu"

    def __init__(self, source: NetworkSource, *, streams: int) -> None:
        self.streams = streams
        self.lower = lower_precisions(source)
        self._source = source
        self._session: Any = None

    def compile(self, precision: Precision) -> None:
        if precision not in {"f32", "int8"}:
            raise ModelRejected(f"ONNX Runtime computes in f32 and int8 on a CPU, not in {precision}")
        # Two sessions at once would be the peak of the process.
        self._session = None
        self._session = _read(self._source, network_file(precision))

    def settle(self) -> None:
        """Nothing is kept for another precision."""

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        return Outputs(*self._session.run(OUTPUTS, {"input_ids": ids, "attention_mask": mask}))


def _read(source: NetworkSource, name: str) -> Any:
    options = onnxruntime.SessionOptions()
    # With one thread a batch is computed in the thread that asks; a pool of the session's would be shared by all.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    manifest = source.manifest
    try:
        session = onnxruntime.InferenceSession(
            str(network_path(source, name)), options, providers=["CPUExecutionProvider"]
        )
    except UNREADABLE as error:
        raise ModelRejected(f"model {manifest.name} {manifest.version} is no ONNX model that can be read") from error
    check_network(
        manifest,
        [each.name for each in session.get_inputs()],
        {each.name: [size if isinstance(size, int) else None for size in each.shape] for each in session.get_outputs()},
    )
    return session
