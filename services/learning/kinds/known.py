"""The kinds of models that learning knows, and which of them data or a model is of."""

from collections.abc import Mapping
from pathlib import Path

from services.learning.kinds.kind import AnyKind
from services.learning.kinds.understanding.kind import Understanding
from shared.nlu.manifest import UNDERSTANDING, Manifest, ModelError, read_manifest

__all__ = ["KINDS", "kind_of_data", "kind_of_model"]

KINDS: Mapping[str, AnyKind] = {UNDERSTANDING: Understanding()}
"""By the name that manifests have for it; the first is taken for a folder of data that says nothing."""


def kind_of_data(folder: Path, kinds: Mapping[str, AnyKind]) -> AnyKind:
    """The kind whose data a folder holds; else the first, which says what the folder lacks when it prepares it."""
    found = (kind for kind in kinds.values() if (folder / kind.data_file).is_file())
    return next(found, next(iter(kinds.values())))


def kind_of_model(folder: Path, kinds: Mapping[str, AnyKind]) -> AnyKind:
    """The kind that the manifest of a model folder names.

    Raises:
        ModelError: there is no such manifest, or no such kind.
    """
    name = read_manifest(folder, Manifest).kind
    if name not in kinds:
        known = ", ".join(sorted(kinds))
        raise ModelError(f"{folder} holds a model of the kind {name}, which is not known here; known: {known}")
    return kinds[name]
