"""What an ONNX network has to look like to be served: its inputs, its outputs, and as many labels as the manifest."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from shared.nlu.engines.runtime import Precision
from shared.nlu.manifest import INT8, MODEL, ModelRejected, NetworkManifest, NetworkSource

__all__ = ["INPUTS", "OUTPUTS", "check_network", "lower_precisions", "network_file", "network_path"]

INPUTS = ("input_ids", "attention_mask")
EXTERNAL_DATA = ".data"
OUTPUTS = ("intent_logits", "tag_logits", "sentiment_logits", "text_embedding")


def network_file(precision: Precision) -> str:
    """Which file of a folder holds the network that computes in a precision."""
    return INT8 if precision == "int8" else MODEL


def network_path(source: NetworkSource, name: str) -> Path:
    """The path of a network's file.

    Raises:
        ModelRejected: it, or the file with its weights beside it, is missing.
    """
    if (weights := f"{name}{EXTERNAL_DATA}") in source.manifest.files:
        source.file(weights)
    return source.file(name)


def lower_precisions(source: NetworkSource, *others: Precision) -> tuple[Precision, ...]:
    """What a back end may compute faster in than f32: what its device has, and int8 where the folder has it."""
    # What a copy leaves out, an image for example, is no reason not to serve the rest.
    return (*others, "int8") if INT8 in source.manifest.files and (source.folder / INT8).is_file() else others


def check_network(
    manifest: NetworkManifest, inputs: Collection[str], outputs: Mapping[str, Sequence[int | None]]
) -> None:
    """Compares the names of the inputs and the shapes of the outputs; a dimension that varies is None.

    Raises:
        ModelRejected: they are not those of a model with the labels of the manifest.
    """
    if not set(INPUTS) <= set(inputs) or not set(OUTPUTS) <= outputs.keys():
        raise ModelRejected(
            f"model {manifest.name} {manifest.version} needs the inputs {', '.join(INPUTS)} "
            f"and the outputs {', '.join(OUTPUTS)}"
        )
    labels = (len(manifest.intents), len(manifest.tags), len(manifest.sentiments), None)
    for name, rank, wanted in zip(OUTPUTS, (2, 3, 2, 2), labels, strict=True):
        shape = outputs[name]
        if len(shape) != rank or (wanted is not None and shape[-1] not in (None, wanted)):
            raise ModelRejected(
                f"model {manifest.name} {manifest.version}: {name} does not have the "
                + (f"{wanted} labels of the manifest" if wanted is not None else f"{rank} dimensions it needs")
            )
