"""A verified model folder becomes a version that can serve."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from services.intent.batching.queue import BatchQueue
from services.intent.kinds.kind import AnyModel, Kind
from services.intent.limits import BatchPolicy
from services.intent.metrics import announce
from services.intent.settings import Settings
from services.intent.versions.fetching import VERSION
from services.intent.versions.live import LiveModel, read_reference, resident_bytes
from services.intent.versions.model_registry import PRODUCTION
from shared.nlu.golden_set import Reference
from shared.nlu.manifest import Manifest, ModelRejected, ModelSource

__all__ = ["Loaded", "estimate_bytes", "load", "make_live", "production_folder"]

log = structlog.get_logger(__name__)

MEMORY_OF_FILE = 1.5
"""What a model takes in memory for each byte of its files, before it was measured."""


@dataclass(frozen=True)
class Loaded:
    """A warm model with what its folder says about it, and the bytes that loading it took."""

    model: AnyModel
    reference: Reference | None
    size: int


def production_folder(home: Path, name: str) -> Path:
    """The folder of the version that the file `models/<name>/production` names.

    Raises:
        ModelRejected: there is none; the message says how to get one.
    """
    pointer = home / "models" / name / PRODUCTION
    try:
        version = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelRejected(
            f"there is no model in production for {name}: {pointer} cannot be read; train one with `zhiyin train`"
        ) from error
    if not VERSION.fullmatch(version):
        raise ModelRejected(f"{pointer} does not hold the name of a version")
    return pointer.parent / version


def estimate_bytes(folder: Path) -> int:
    """What a model will take in memory, by the size of its largest file.

    Both files of weights hold the same numbers, and one of them is loaded.
    """
    return int(MEMORY_OF_FILE * max((each.stat().st_size for each in folder.iterdir() if each.is_file()), default=0))


def load(settings: Settings, kinds: Mapping[str, Kind], name: str, source: ModelSource[Manifest]) -> Loaded:
    """Loads and warms a verified folder; blocks for seconds.

    Raises:
        ModelRejected: it holds another model, one of a kind that is not known, or none that can be served.
    """
    manifest = source.manifest
    if manifest.name not in (name, name.rpartition(".")[2]):
        raise ModelRejected(f"{source.folder} holds a model of {manifest.name}, not of {name}")
    kind = kinds.get(manifest.kind)
    if kind is None:
        raise ModelRejected(
            f"{source.folder} holds a model of the kind {manifest.kind}; this server loads {', '.join(sorted(kinds))}"
        )
    before = resident_bytes()
    # A tenant's model is known by its whole name, so that figures of two tenants never mix.
    model = kind.load(replace(source, manifest=manifest.model_copy(update={"name": name})), settings)
    size = max(resident_bytes() - before, estimate_bytes(source.folder))
    return Loaded(model, read_reference(source), size)


def make_live(settings: Settings, loaded: Loaded) -> LiveModel:
    """Puts a model behind a queue, on the event loop, and announces it in metrics and logs."""
    model = loaded.model
    policy = BatchPolicy(
        batch_tokens=settings.batch_tokens, queue_texts=settings.queue_texts, cache_texts=settings.cache_texts
    )
    live = LiveModel(BatchQueue[Any, Any](model, policy), size=loaded.size, reference=loaded.reference)
    announce(live.name, live.version, backend=model.backend, device=model.device, precision=model.precision)
    log.info(
        "model_loaded",
        model=live.name,
        version=live.version,
        digest=live.digest,
        backend=model.backend,
        device=model.device,
        precision=model.precision,
        streams=model.streams,
        megabytes=round(loaded.size / 1e6),
    )
    return live
