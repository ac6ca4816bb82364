"""The intent head by itself: fitted on embeddings that stay as they are, and put into a model's files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.nlu.manifest import ModelError

__all__ = ["Head", "fit_head", "read_head", "replace_head"]

WEIGHT, BIAS = "intent_head.weight", "intent_head.bias"
LOGITS = "intent_logits"
HOLD = 2e-4
STEPS = 100

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """Logits of the intents are `embeddings @ weights.T + bias`; `weights` [intents, width], `bias` [intents]."""

    weights: Floats
    bias: Floats

    def logits(self, embeddings: Floats) -> Floats:
        """[texts, intents] of `embeddings` [texts, width]."""
        return np.asarray(embeddings @ self.weights.T + self.bias, np.float32)

    def extended(self, rows: Sequence[int | None], embeddings: Floats, intents: Integers) -> "Head":
        """A head for the intents in `rows`: the row that each has here, or None for one that is new.

        A new one begins as a prototype (Snell et al. 2017): in the direction of its examples' mean from that of all,
        as long as the rows that there are, and at zero halfway.
        """
        middle = embeddings.mean(0)
        length = float(np.linalg.norm(self.weights, axis=1).mean())
        weights, bias = [], []
        for number, row in enumerate(rows):
            if row is not None:
                weights.append(self.weights[row])
                bias.append(float(self.bias[row]))
                continue
            mean = embeddings[intents == number].mean(0)
            direction = (mean - middle) * (length / max(float(np.linalg.norm(mean - middle)), 1e-6))
            weights.append(direction)
            bias.append(-float(direction @ (mean + middle)) / 2)
        return Head(np.stack(weights).astype(np.float32), np.array(bias, np.float32))


def fit_head(start: Head, embeddings: Floats, intents: Integers, weights: Floats, *, smoothing: float) -> Head:
    """Multinomial logistic regression that begins at `start` and is held near it.

    What is held near keeps what a few examples have nothing to say about.

    Args:
        embeddings: [texts, width].
        intents: of each text, the row that it has in `start`.
        weights: how much each text counts.
        smoothing: of the labels, as the head was trained with.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    count, width = start.weights.shape
    inputs = np.hstack([embeddings, np.ones((len(embeddings), 1))]).astype(np.float32)
    origin = np.hstack([start.weights, start.bias[:, None]]).astype(np.float64)
    target = np.full((len(intents), count), smoothing / count, np.float32)
    target[np.arange(len(intents)), intents] += 1 - smoothing
    shares = (weights / weights.sum())[:, None].astype(np.float32)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = flat.reshape(count, width + 1)
        logits = inputs @ moved.T.astype(np.float32)
        logits -= logits.max(1, keepdims=True)
        likelihoods = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        way = moved - origin
        surprise = -float((shares * target * likelihoods).sum()) + HOLD / 2 * float((way**2).sum())
        slope = ((np.exp(likelihoods) - target) * shares).T @ inputs + HOLD * way
        return surprise, slope.ravel().astype(np.float64)

    found = minimize(loss, origin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    fitted = found.reshape(count, width + 1).astype(np.float32)
    return Head(fitted[:, :width].copy(), fitted[:, width].copy())


def read_head(folder: Path) -> Head:
    """The intent head of a model folder."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / "weights.safetensors")
    return Head(tensors[WEIGHT].astype(np.float32), tensors[BIAS].astype(np.float32))


def replace_head(source: Path, head: Head, folder: Path) -> None:
    """Writes `model.onnx`, its data file and `weights.safetensors` of `source` into `folder` with another intent head.

    Raises:
        ModelError: the network's intents are not computed by one matrix and one bias.
    """
    _replace_in_network(source / "model.onnx", head, folder / "model.onnx")
    _replace_in_weights(source / "weights.safetensors", head, folder / "weights.safetensors")


def _replace_in_network(source: Path, head: Head, path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    last: Any = next((node for node in graph.node if LOGITS in node.output), None)
    names = list(last.input[1:]) if last is not None and last.op_type == "Gemm" else []
    if len(names) != 2 or not all(name in constants for name in names):
        raise ModelError(f"{source}: the intents are not computed as training exports them; train the model again")
    turned = any(attribute.name == "transB" and attribute.i for attribute in last.attribute)
    for name, value in zip(names, (head.weights if turned else head.weights.T, head.bias), strict=True):
        constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
    for described in (*graph.output, *graph.value_info):
        sizes: tuple[int | None, ...] = ()
        if described.name == LOGITS:
            sizes = (None, len(head.bias))
        elif described.name in names:
            sizes = tuple(constants[described.name].dims)
        for place, number in zip(described.type.tensor_type.shape.dim, sizes, strict=False):
            if number is not None:
                place.dim_value = number
    onnx.checker.check_model(model)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data")


def _replace_in_weights(source: Path, head: Head, path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(source, framework="numpy") as file:
        metadata = file.metadata()
    save_file({**load_file(source), WEIGHT: head.weights, BIAS: head.bias}, path, metadata=metadata)
    path.chmod(0o644)  # the library lets only the owner read it
