"""The models of releases: each version is loaded beside what serves and proven, and can be asked for by its name.

A model whose production a release names is no longer followed in the model registry. While another release takes over,
both versions serve: a turn asks for the one of its own release.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from services.intent.rollout.controller import Rollout
from services.intent.rollout.loaded_models import LoadedModels
from services.intent.settings import Settings
from services.intent.versions.fetching import VERSION, obtain
from services.intent.versions.golden_check import prove
from services.intent.versions.live import LiveModel
from services.intent.versions.model_registry import ModelRegistry, RegistryUnavailable
from shared.contracts.releases import Release, ReleaseAlias
from shared.errors import Unavailable
from shared.nlu.manifest import Manifest, ModelRejected, ModelSource, read_source

__all__ = ["ReleasedModels"]

NAME = re.compile(r"([a-z0-9][a-z0-9_-]{0,62}\.)?[a-z0-9_-]{1,64}")


@dataclass(frozen=True)
class _Held:
    """What a release has loaded."""

    model: str
    version: str
    source: ModelSource[Manifest]


class ReleasedModels:
    """Brings the loaded models to what releases name, as a follower calls it."""

    def __init__(self, models: LoadedModels, registry: ModelRegistry, rollout: Rollout, settings: Settings) -> None:
        self._models = models
        self._registry = registry
        self._rollout = rollout
        self._settings = settings
        self._held: dict[str, _Held] = {}

    async def load(self, release: Release, folder: Path) -> None:
        """Loads and proves the version that a release names; one without a model has nothing to load here.

        Raises:
            ModelRejected: it cannot be had, is not what was registered, or does worse than what is in production.
            Unavailable: the model registry cannot be asked.
        """
        if not release.model:
            return
        if not NAME.fullmatch(release.model) or not VERSION.fullmatch(release.model_version):
            raise ModelRejected(f"{release.model} {release.model_version} is no name of a model and its version")
        source, forced = await self._obtain(release)
        deployment = self._models.begin(release.model)
        live = deployment.named(release.model_version) or await self._proven(release.model, source, forced=forced)
        # The deployment may have been unloaded meanwhile, to make room for others.
        self._models.begin(release.model).hold(live)
        self._held[release.id] = _Held(release.model, release.model_version, source)
        self._models.measure(release.model)

    def serve(self, aliases: Sequence[ReleaseAlias]) -> None:
        """From now on these releases say what is in production."""
        for alias in aliases:
            held = self._held.get(alias.release.id)
            if alias.alias != "production" or held is None:
                continue
            deployment = self._models.begin(held.model)
            self._models.publish(held.model, held.source)
            live = deployment.named(held.version)
            if live is not None and live is not deployment.production:
                deployment.put_in_production(live, watch=True)
                self._rollout.remember(deployment)

    def forget(self, release: Release) -> None:
        """Gives the version back, where no other release has it."""
        held = self._held.pop(release.id, None)
        if held is None or any(
            (each.model, each.version) == (held.model, held.version) for each in self._held.values()
        ):
            return
        self._models.begin(held.model).release(held.version)
        self._models.measure(held.model)

    async def _proven(self, name: str, source: ModelSource[Manifest], *, forced: bool) -> LiveModel:
        """The version, warm, and neither worse nor much slower than what is in production."""
        fresh = await self._models.make_live(name, source)
        production = self._models.begin(name).production
        try:
            with nullcontext() if production is None else production:
                current = None if production is None else production.model
                await asyncio.to_thread(prove, fresh.model, current, self._settings, forced=forced)
        except BaseException:
            self._models.retire(fresh)
            raise
        return fresh

    async def _obtain(self, release: Release) -> tuple[ModelSource[Manifest], bool]:
        """The verified files of a version, and whether a person wants it although it is worse."""
        models = self._settings.home / "models" / release.model
        here = models / release.model_version
        try:
            registered = await self._registry.find(release.model, release.model_version)
            if registered is not None:
                return await obtain(registered, self._registry, models), registered.forced
        except RegistryUnavailable as error:
            if not here.is_dir():
                raise Unavailable(str(error)) from error
        if not here.is_dir():
            raise ModelRejected(f"no version {release.model_version} of the model {release.model} is registered")
        # As at a start: what was trained on this machine, every file as its manifest has it.
        return await asyncio.to_thread(read_source, here, Manifest), False
