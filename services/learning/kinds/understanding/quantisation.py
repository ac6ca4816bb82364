"""An 8-bit form of a trained model, kept only where it understands as well.

Weights are quantised per output channel and activations per tensor, by ranges that training utterances showed
(post-training static quantisation, Jacob et al. 2018). The heads, the norms and attention itself stay as they are.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer

from services.learning.artifacts.folders import digest_of, publish
from services.learning.artifacts.record import TrainingRecord
from services.learning.datasets.examples import split
from services.learning.progress import Progress, Report
from shared.errors import ConfigurationError
from shared.nlu.manifest import INT8, MODEL, ModelError, ModelManifest, Quantised, read_manifest
from shared.nlu.training_data import Utterance, load_training_data
from shared.nlu.training_settings import TrainingSettings

__all__ = ["MAX_DROP", "QuantisationRefused", "QuantisedModel", "Understand", "quantise"]

MAX_DROP = 0.005
CALIBRATION_UTTERANCES = 128
NARROWING = 2
"""A layer whose output is so much narrower than its input is the second half of a feed-forward part."""

Place = Literal["attention", "narrowing", "other"]
LEFT_OUT: tuple[frozenset[Place], ...] = (frozenset(), frozenset({"narrowing"}), frozenset({"attention", "narrowing"}))
"""What is tried, in order: inputs of narrowing layers have the largest outliers, then those of attention's output."""

Understand = Callable[[Path, Sequence[str]], Sequence[str]]
"""The best intent of each text by the model of a folder, as a service computes it."""


class QuantisationRefused(ConfigurationError):
    """The 8-bit form loses more accuracy than allowed, so nothing was written."""


@dataclass(frozen=True)
class QuantisedModel:
    """The new version, and what its gate measured."""

    path: Path
    version: str
    quantised: Quantised


def quantise(
    assistant_dir: Path,
    folder: Path,
    *,
    engines: Mapping[str, Understand],
    progress: Report,
    max_drop: float = MAX_DROP,
) -> QuantisedModel:
    """Makes a new version of the model in `folder`, beside it, that has an 8-bit form too.

    First all layers are quantised, and where that loses too much, fewer and fewer.

    Args:
        engines: every library that may serve it; the one that loses most decides.
        max_drop: the share of validation utterances that may be lost.

    Raises:
        QuantisationRefused: more is lost; the message has the figures.
        ModelError: the folder has an 8-bit form already, or was trained on other utterances.
    """
    assistant = load_training_data(assistant_dir)
    manifest, settings = read_manifest(folder), TrainingRecord.read(folder).settings_as(TrainingSettings)
    if manifest.quantised is not None:
        raise ModelError(f"version {manifest.version} has an 8-bit form already")
    if manifest.data_hash != assistant.data_hash:
        raise ModelError(f"version {manifest.version} was trained on other utterances; train the model again first")
    training, validation = split(assistant.utterances, settings.validation, settings.seed)
    wanted = [each for each in validation if each.intent is not None]
    texts = [each.text for each in wanted]
    stages = len(LEFT_OUT)
    found: list[_Loss] = []

    def accuracies(model: Path) -> dict[str, float]:
        return {
            name: sum(intent == each.intent for intent, each in zip(understand(model, texts), wanted, strict=True))
            / len(wanted)
            for name, understand in engines.items()
        }

    references = accuracies(folder)
    with _scratch(folder) as scratch:
        for number, left_out in enumerate(LEFT_OUT):
            progress(Progress(stage="quantisation", done=number, total=stages))
            _write_int8(folder, scratch / INT8, _calibration(training, settings.seed), manifest, left_out)
            ours = accuracies(_stand_in(folder, scratch, manifest))
            engine = max(ours, key=lambda name: references[name] - ours[name])
            loss = _Loss(engine, accuracy=ours[engine], reference=references[engine])
            found.append(loss)
            if loss.points <= max_drop:
                progress(Progress(stage="quantisation", done=stages, total=stages))
                gate = Quantised(
                    engine=engine,
                    accuracy=loss.accuracy,
                    reference=loss.reference,
                    max_drop=max_drop,
                    utterances=len(wanted),
                )
                return _publish(folder, scratch, manifest, gate)
    best = min(found, key=lambda loss: loss.points)
    raise QuantisationRefused(
        f"in 8 bits version {manifest.version} understands {best.accuracy:.2%} of {len(wanted)} validation "
        f"utterances instead of {best.reference:.2%}: {100 * best.points:.2f} points less, "
        f"where {100 * max_drop:.2f} are allowed; nothing was written"
    )


@dataclass(frozen=True)
class _Loss:
    """What the library that loses most understands of the validation utterances in 8 bits, and of the model itself."""

    engine: str
    accuracy: float
    reference: float

    @property
    def points(self) -> float:
        """The share that is lost."""
        return self.reference - self.accuracy


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = folder.parent / f".quantising-{folder.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _calibration(training: Sequence[Utterance], seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(training))[:CALIBRATION_UTTERANCES]
    return [training[number].text for number in order]


class _Inputs:
    """What ONNX Runtime's quantisation reads: one text after the other."""

    def __init__(self, texts: Sequence[str], folder: Path, manifest: ModelManifest) -> None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(manifest.max_tokens)
        self._encodings = iter(tokenizer.encode_batch([manifest.prefix + text for text in texts]))

    def get_next(self) -> dict[str, Any] | None:
        encoding = next(self._encodings, None)
        if encoding is None:
            return None
        ids = np.array([encoding.ids], np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def _write_int8(
    folder: Path, target: Path, texts: Sequence[str], manifest: ModelManifest, left_out: Collection[Place]
) -> None:
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(_Inputs, CalibrationDataReader):  # type: ignore[misc]
        """Of the type that the library asks for."""

    network = onnx.load(folder / MODEL)
    quantize_static(
        network,
        target,
        Reader(texts, folder, manifest),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_quantize=[name for name, place in _layers(network.graph) if place not in left_out],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"MatMulConstBOnly": True, "CalibMovingAverage": True},
    )


def _layers(graph: Any) -> Iterator[tuple[str, Place]]:
    """The encoder's linear layers by name, each with its place; not the heads."""
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    linear = {node.name: node for node in graph.node if _is_linear(node, shapes)}
    heads: set[str] = set()
    waiting = [output.name for output in graph.output if output.name.endswith("_logits")]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            continue
        if node.name in linear:
            heads.add(node.name)
        else:
            waiting.extend(node.input)
    for name, node in linear.items():
        inputs, outputs = shapes[node.input[1]]
        if name in heads:
            continue
        # Only attention's parts are put together again before they go into a layer.
        if node.input[0] in makers and makers[node.input[0]].op_type == "Reshape":
            yield name, "attention"
        else:
            yield name, "narrowing" if inputs >= NARROWING * outputs else "other"


def _is_linear(node: Any, shapes: Mapping[str, Sequence[int]]) -> bool:
    return node.op_type in {"MatMul", "Gemm"} and len(shapes.get(node.input[1], ())) == 2


def _stand_in(folder: Path, scratch: Path, manifest: ModelManifest) -> Path:
    """A folder that serves the 8-bit form as its only one, because without a gate nothing serves it as what it is."""
    stand_in = scratch / "stand-in"
    shutil.rmtree(stand_in, ignore_errors=True)
    stand_in.mkdir()
    for name in manifest.files:
        if name != MODEL and (folder / name).exists():
            (stand_in / name).hardlink_to(folder / name)
    (stand_in / MODEL).hardlink_to(scratch / INT8)
    files = manifest.files | {MODEL: digest_of(scratch / INT8)}
    manifest.model_copy(update={"files": files}).write(stand_in)
    return stand_in


def _publish(folder: Path, scratch: Path, manifest: ModelManifest, gate: Quantised) -> QuantisedModel:
    now = datetime.now(UTC).replace(microsecond=0)
    # The recipe stays in the name: it is the same training, so the next one finds this version.
    version = f"{now:%Y%m%dT%H%M%S}-{manifest.version.rpartition('-')[2]}"
    made = scratch / "made"
    shutil.copytree(folder, made)
    (scratch / INT8).replace(made / INT8)
    changed = manifest.model_copy(
        update={
            "version": version,
            "created_at": now,
            "files": manifest.files | {INT8: digest_of(made / INT8)},
            "quantised": gate,
        }
    )
    changed.write(made)
    publish(made, folder.parent / version)
    return QuantisedModel(folder.parent / version, version, gate)
