"""The models that this process serves, by name."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from services.intent.manifest import ModelRejected
from services.intent.metrics import announce
from services.intent.model import Model
from services.intent.queue import BatchPolicy, BatchQueue
from services.intent.settings import Settings
from shared.errors import NotFound, Unavailable

__all__ = ["ModelRegistry", "production_folder"]

log = structlog.get_logger(__name__)

PRODUCTION = "production"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


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


class ModelRegistry:
    """Loaded models, each behind its queue."""

    def __init__(self) -> None:
        self._queues: dict[str, BatchQueue] = {}

    def __iter__(self) -> Iterator[Model]:
        return (each.model for each in self._queues.values())

    async def load(self, settings: Settings) -> None:
        """Loads and warms the models that the settings name, off the event loop.

        Raises:
            ModelRejected: one of them cannot be served.
        """
        policy = BatchPolicy(batch_tokens=settings.batch_tokens, queue_texts=settings.queue_texts)
        for name in settings.models:
            model = await asyncio.to_thread(_load, settings, name)
            self.add(BatchQueue(model, policy, today=settings.today))
            log.info(
                "model_loaded",
                model=name,
                version=model.manifest.version,
                digest=model.digest,
                backend=model.backend,
                device=model.device,
                precision=model.precision,
                streams=model.streams,
            )

    def add(self, served: BatchQueue) -> None:
        """Serves a model under its name."""
        model = served.model
        self._queues[model.manifest.name] = served
        announce(
            model.manifest.name,
            model.manifest.version,
            backend=model.backend,
            device=model.device,
            precision=model.precision,
        )

    def get(self, name: str) -> BatchQueue:
        """The way to a model.

        Raises:
            NotFound: no model of this name is served.
        """
        try:
            return self._queues[name]
        except KeyError:
            raise NotFound(f"no model {name!r} is served here") from None

    async def check(self) -> None:
        """Returns when there are models to ask."""
        if not self._queues:
            raise Unavailable("the models are not loaded yet")

    def meta(self) -> Mapping[str, str]:
        """What the registry of services is told: versions and digests, of several models with commas between."""
        return {
            "model": ",".join(f"{each.manifest.name}@{each.manifest.version}" for each in self),
            "model_digest": ",".join(each.digest[:16] for each in self),
        }

    def close(self) -> None:
        """Lets the batches at work finish and gives the threads back."""
        for each in self._queues.values():
            each.close()
        self._queues.clear()


def _load(settings: Settings, name: str) -> Model:
    folder = production_folder(settings.home, name)
    model = Model.load(
        folder,
        streams=settings.inference_streams or None,
        precision=settings.inference_precision,
        backend=settings.inference_backend,
    )
    if model.manifest.name != name:
        raise ModelRejected(f"{folder} holds a model of {model.manifest.name}, not of {name}")
    return model
