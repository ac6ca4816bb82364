"""Integrated gradients without automatic differentiation: OpenVINO computes the network from moved word vectors.

The look-up of word vectors becomes an input of a second compiled network, and a derivative along an interval is the
difference between its ends.
"""

from collections.abc import Iterator

import numpy as np
import openvino as ov  # type: ignore[import-untyped]
from numpy.typing import NDArray
from openvino import opset8 as ops

from services.intent.explanation.attributions import Check, Path
from shared.nlu.manifest import MODEL, ModelRejected, NetworkSource

__all__ = ["OpenVinoGradients"]

Floats = NDArray[np.float32]

INPUT_IDS, ATTENTION_MASK, INTENTS = "input_ids", "attention_mask", "intent_logits"
BATCH_TOKENS = 512


class OpenVinoGradients:
    """`model.onnx` of a folder in single precision, on one thread."""

    def __init__(self, source: NetworkSource, *, neutral: int) -> None:
        self._neutral = neutral
        model = ov.Core().read_model(source.file(MODEL))
        lookups = dict(_lookups(model))
        if not lookups:
            raise ModelRejected(f"model {source.manifest.name} looks up no word vectors that could be moved")
        # Copies, because views would keep all of the model that was read.
        self._tables = [table.copy() for table in lookups.values()]
        vectors = []
        for lookup, table in zip(lookups, self._tables, strict=True):
            vectors.append(ops.parameter([-1, -1, table.shape[1]], np.float32))
            lookup.output(0).replace(vectors[-1].output(0))
        self._inputs = [each.get_any_name() for each in model.inputs]
        network = ov.Model([model.output(INTENTS).get_node()], [*model.get_parameters(), *vectors])
        del model, lookups
        compiled = ov.Core().compile_model(
            network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "NUM_STREAMS": "1",
                "INFERENCE_NUM_THREADS": "1",
                "ENABLE_CPU_PINNING": "NO",
            },
        )
        self._request = compiled.create_infer_request()

    def scores(self, path: Path, positions: Floats) -> Floats:
        coefficients = np.ones((len(positions), len(path.ids)), np.float32)
        coefficients[:, path.moved] = positions[:, None]
        return self._scores(path, coefficients)

    def changes(self, path: Path, intervals: Floats, check: Check) -> Floats:
        changes = np.empty((len(intervals), len(path.moved)), np.float32)
        places = [(row, column) for row in range(len(intervals)) for column in range(len(path.moved))]
        size = max(1, BATCH_TOKENS // (2 * len(path.ids)))
        for first in range(0, len(places), size):
            check()
            batch = places[first : first + size]
            points = np.ones((len(batch), 2, len(path.ids)), np.float32)
            for number, (row, column) in enumerate(batch):
                points[number][:, path.moved] = intervals[row].mean()
                points[number, :, path.moved[column]] = intervals[row]
            ends = self._scores(path, points.reshape(-1, len(path.ids))).reshape(-1, 2)
            for (row, column), change in zip(batch, ends[:, 1] - ends[:, 0], strict=True):
                changes[row, column] = change
        return changes

    def _scores(self, path: Path, coefficients: Floats) -> Floats:
        rows, ids = len(coefficients), np.asarray(path.ids, np.int64)
        given = {INPUT_IDS: np.tile(ids, (rows, 1)), ATTENTION_MASK: np.ones((rows, len(ids)), np.int64)}
        vectors = []
        for table in self._tables:
            text, neutral = table[ids].astype(np.float32), table[self._neutral].astype(np.float32)
            vectors.append(neutral + coefficients[:, :, None] * (text - neutral))
        results = self._request.infer([*(given[name] for name in self._inputs), *vectors], share_inputs=True)
        scores: Floats = results[0][:, path.intent].copy()
        return scores


def _lookups(model: ov.Model) -> Iterator[tuple[ov.Node, NDArray[np.floating]]]:
    """The nodes that look up token ids in a table, with the table; it may be kept in another precision."""
    outputs = [model.input(INPUT_IDS)]
    while outputs:
        for target in outputs.pop().get_target_inputs():
            node = target.get_node()
            if node.get_type_name() == "Convert":
                outputs.append(node.output(0))
            elif node.get_type_name() == "Gather":
                table = node.input_value(0).get_node()
                while table.get_type_name() == "Convert":
                    table = table.input_value(0).get_node()
                if table.get_type_name() == "Constant":
                    yield node, table.data
