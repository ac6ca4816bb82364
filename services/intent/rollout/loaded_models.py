"""The models that this process serves, by name: loaded at the start or when asked for, within a budget of memory."""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from services.intent.batching.queue import BatchQueue
from services.intent.kinds.kind import AnyModel, Kind
from services.intent.kinds.known import KINDS
from services.intent.settings import EVERY_MODEL, Settings
from services.intent.versions.comparison import Mirror
from services.intent.versions.deployment import Deployment, Lease
from services.intent.versions.fetching import obtain
from services.intent.versions.live import LiveModel
from services.intent.versions.loading import estimate_bytes, load, make_live, production_folder
from services.intent.versions.model_registry import PRODUCTION, ModelRegistry
from services.intent.versions.version_metrics import forget
from shared.errors import NotFound, Unavailable, ZhiyinError
from shared.nlu.manifest import Manifest, ModelRejected, ModelSource, read_source

__all__ = ["LoadedModels"]

log = structlog.get_logger(__name__)

PLAIN_NAME = re.compile(r"[a-z0-9_-]{1,64}")
LOAD_SECONDS = 5.0
"""When to come back for a model that is being loaded."""
FAILED_SECONDS = 30.0
"""For so long a model that could not be loaded is not tried again."""

LOADED = Gauge("zhiyin_intent_loaded_bytes", "Memory that the loaded versions of a model take", ["model"])
MOST_TOLD = 512
"""Characters that Consul takes as a value; it refuses a registration with a longer one."""
EVICTED = Counter("zhiyin_intent_evictions_total", "Models unloaded because others needed the memory", ["model"])


class LoadedModels:
    """Deployments by name. The name of a model of another tenant than the process's own is `tenant.name`."""

    def __init__(
        self,
        settings: Settings | None = None,
        registry: ModelRegistry | None = None,
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        """Args:
        settings: what applies until `load` is given others.
        registry: where a version is asked for when there is none in production on this machine.
        kinds: what can be loaded, by the name that manifests call it.
        """
        self._settings = settings or Settings()
        self._registry = registry
        self._kinds = kinds
        self._deployments: dict[str, Deployment] = {}
        self._sizes: dict[str, int] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._published: dict[str, ModelSource[Manifest]] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._one_load = asyncio.Lock()
        # The allocator keeps memory by thread: another thread would not reuse what the old models had.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._background: set[asyncio.Task[None]] = set()
        self.mirror = Mirror(self._busy)

    def __iter__(self) -> Iterator[AnyModel]:
        return (each.production.model for each in self._deployments.values() if each.production is not None)

    @property
    def deployments(self) -> list[Deployment]:
        """What is loaded."""
        return list(self._deployments.values())

    def of_tenant(self, tenant: str) -> list[Deployment]:
        """What is loaded and belongs to a tenant."""
        return [each for each in self.deployments if self._owner(each.name) == tenant]

    async def load(self, settings: Settings) -> None:
        """Loads and warms the models that the settings name, as far as the budget goes, off the event loop.

        Raises:
            ModelRejected: one of them cannot be served.
        """
        self._settings = settings
        for name in settings.models:
            if name == EVERY_MODEL:
                continue
            source = await self._source(name)
            if self._deployments and not self._fits(estimate_bytes(source.folder)):
                log.info("model_left_for_later", model=name)
                continue
            await self._load(name, source)

    def add(self, served: BatchQueue[Any, Any]) -> None:
        """Serves a model under its name, in the place of any other."""
        self._put(served.model.manifest.name, LiveModel(served))

    def publish(self, name: str, source: ModelSource[Manifest]) -> None:
        """Says what a release has in production of a model, for when that has to be loaded again."""
        self._published[name] = source

    def is_published(self, name: str) -> bool:
        """Whether a release says what is in production of a model, and not the model registry."""
        return name in self._published

    def begin(self, name: str) -> Deployment:
        """The deployment of a model by its full name, with nothing in it where nothing was loaded."""
        if name not in self._deployments:
            self._deployments[name] = Deployment(name, self._settings, self.mirror, self.retire)
        return self._deployments[name]

    def get(self, name: str) -> BatchQueue[Any, Any]:
        """The queue of the version that is in production now.

        Raises:
            NotFound: no model of this name is loaded.
        """
        deployment = self._deployments.get(name)
        if deployment is None or deployment.production is None:
            raise NotFound(f"no model {name!r} is served here")
        return deployment.production.queue

    def use(
        self,
        name: str,
        *,
        tenant: str,
        deadline: float,
        key: str | None = None,
        version: str | None = None,
        or_production: bool = False,
        caller: str = "",
    ) -> "ModelUse":
        """The way of one request to a model; it stays loaded until the request leaves.

        Args:
            tenant: whose model it is.
            deadline: until when to wait for a model that has to be loaded, by the event loop's clock.
            key: decides whether the request belongs to the share of a canary or a shadow; without one it is of neither.
            version: the only one that is wanted; by default what is in production, or its canary.
            or_production: the version is a release's; where it is gone, what is in production answers.
            caller: who asks; callers have equal shares of a busy model.

        Raises:
            NotFound: the tenant has no such model or version.
            Unavailable: it is being loaded, or cannot be now.
        """
        return ModelUse(self, self._full_name(name, tenant), deadline, key, version, caller, or_production)

    @property
    def tenant(self) -> str:
        """The installation's own."""
        return self._settings.tenant

    def knows(self, name: str, tenant: str) -> bool:
        """Whether the tenant has a model of this name, loaded or not."""
        full = self._full_name(name, tenant)
        return full in self._deployments or self._configured(full)

    async def deployment(self, name: str, deadline: float) -> Deployment:
        """What serves a model by its full name, loaded by the `deadline` if it was not; errors as of `use`."""
        deployment = self._deployments.get(name)
        if deployment is None or deployment.production is None:
            deployment = await self._load_on_demand(name, deadline)
        return deployment

    async def check(self) -> None:
        """Returns when there are models to ask."""
        if not self._deployments and EVERY_MODEL not in self._settings.models:
            raise Unavailable("the models are not loaded yet")

    def meta(self) -> Mapping[str, str]:
        """Meta data for the registry of services: versions and digests, of as many models as it takes."""
        return {
            "model": _listed(f"{each.manifest.name}@{each.manifest.version}" for each in self),
            "model_digest": _listed(each.digest[:16] for each in self),
        }

    async def make_live(self, name: str, source: ModelSource[Manifest]) -> LiveModel:
        """Loads a version beside what is served, after making room for it."""
        async with self._one_load:
            self._make_room(estimate_bytes(source.folder), keep=name)
            loop = asyncio.get_running_loop()
            loaded = await loop.run_in_executor(self._loader, load, self._settings, self._kinds, name, source)
        return make_live(self._settings, loaded)

    def measure(self, name: str) -> None:
        """Says how much memory the loaded versions of a model take."""
        deployment = self._deployments.get(name)
        LOADED.labels(name).set(deployment.size if deployment else 0)

    def retire(self, live: LiveModel) -> None:
        """Gives a version back once nobody uses it."""
        task = asyncio.get_running_loop().create_task(self._retire(live))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Lets the batches at work finish and gives the threads back."""
        for task in self._loading.values():
            task.cancel()
        for deployment in self._deployments.values():
            # Callers that still wait are refused, and then leave.
            for live in deployment.loaded():
                live.queue.close()
            deployment.unload()
        self._deployments.clear()
        await asyncio.gather(*self._background)
        self._loader.shutdown()

    async def _retire(self, live: LiveModel) -> None:
        await live.retire()
        deployment = self._deployments.get(live.name)
        if deployment is None or all(each.version != live.version for each in deployment.loaded()):
            forget(live.name, live.version)

    def _full_name(self, name: str, tenant: str) -> str:
        if not PLAIN_NAME.fullmatch(name):
            raise NotFound(f"no model {name!r} is served here")
        return name if tenant == self._settings.tenant else f"{tenant}.{name}"

    def _owner(self, full: str) -> str:
        return full.partition(".")[0] if "." in full else self._settings.tenant

    def _busy(self) -> bool:
        return any(each.production is not None and each.production.queue.admitted for each in self.deployments)

    def _put(self, name: str, live: LiveModel) -> Deployment:
        deployment = self.begin(name)
        deployment.put_in_production(live, watch=False)
        deployment.used_at = time.monotonic()
        self.measure(name)
        return deployment

    async def _load_on_demand(self, full: str, deadline: float) -> Deployment:
        self._require_known(full)
        loop = asyncio.get_running_loop()
        until, reason = self._failed.get(full, (0.0, ""))
        if loop.time() < until:
            raise Unavailable(reason, retry_after=until - loop.time())
        task = self._loading.get(full)
        if task is None:
            task = loop.create_task(self._fetch_and_load(full))
            self._loading[full] = task
            task.add_done_callback(lambda _: self._loading.pop(full, None))
        await asyncio.wait((task,), timeout=max(0.0, deadline - loop.time()))
        if not task.done():
            raise Unavailable(f"model {full} is being loaded", retry_after=LOAD_SECONDS)
        if task.cancelled():
            raise Unavailable("the server is stopping", retry_after=LOAD_SECONDS)
        error = task.exception()
        if isinstance(error, ZhiyinError):
            self._failed[full] = loop.time() + FAILED_SECONDS, f"model {full} cannot be loaded"
            log.error("model_not_loaded", model=full, reason=str(error))
            raise Unavailable(f"model {full} cannot be loaded", retry_after=FAILED_SECONDS) from error
        if error is not None:
            raise error
        return self._deployments[full]

    def _require_known(self, full: str) -> None:
        """A name that nobody configured is no reason to look further, or to load anything."""
        if not self._configured(full):
            raise NotFound(f"no model {full.rpartition('.')[2]!r} is served here")

    def _configured(self, full: str) -> bool:
        named = self._settings.models
        return (
            full in named
            or full in self._published
            or (EVERY_MODEL in named and (self._models(full) / PRODUCTION).is_file())
        )

    def _models(self, full: str) -> Path:
        return self._settings.home / "models" / full

    async def _fetch_and_load(self, full: str) -> None:
        await self._load(full, await self._source(full))

    async def _source(self, name: str) -> ModelSource[Manifest]:
        """What a release has in production; else the last good version on this machine, or what the registry names."""
        if name in self._published:
            return self._published[name]
        try:
            folder = production_folder(self._settings.home, name)
        except ModelRejected:
            found = await self._registry.aliases(name) if self._registry else {}
            if self._registry is None or PRODUCTION not in found:
                raise
            return await obtain(found[PRODUCTION], self._registry, self._models(name))
        return await asyncio.to_thread(read_source, folder, Manifest)

    async def _load(self, name: str, source: ModelSource[Manifest]) -> None:
        live = await self.make_live(name, source)
        self._sizes[name] = live.size
        self._put(name, live)
        self._make_room(0, keep=name)

    def _fits(self, more: int) -> bool:
        budget = self._settings.memory_budget_mb * 1_000_000
        return not budget or sum(each.size for each in self.deployments) + more <= budget

    def _make_room(self, needed: int, *, keep: str) -> None:
        """Unloads the models that nobody asked for the longest, but none that is in use.

        Raises:
            Unavailable: what is in use takes all there is.
        """
        while not self._fits(needed):
            idle = [each for each in self.deployments if not each.used and each.name != keep]
            if not idle:
                if keep in self._deployments or not self._deployments:
                    # Beside its own old version a new one may go beyond the budget, until the old one is gone.
                    return
                raise Unavailable("every model is in use and there is no memory for another", retry_after=LOAD_SECONDS)
            oldest = min(idle, key=lambda each: each.used_at)
            del self._deployments[oldest.name]
            oldest.unload()
            EVICTED.labels(oldest.name).inc()
            self.measure(oldest.name)
            log.info("model_evicted", model=oldest.name)


def _listed(entries: Iterable[str]) -> str:
    whole = ",".join(entries)
    return whole if len(whole) <= MOST_TOLD else whole[: MOST_TOLD + 1].rpartition(",")[0]


@dataclass(slots=True)
class ModelUse:
    """What `LoadedModels.use` gives: a request's lease as long as it is inside."""

    models: LoadedModels
    name: str
    deadline: float
    key: str | None
    version: str | None
    caller: str
    or_production: bool = False
    lease: Lease | None = None

    async def __aenter__(self) -> Lease:
        deployment = await self.models.deployment(self.name, self.deadline)
        self.lease = deployment.lease(self.key, self.version, self.caller, or_production=self.or_production)
        return self.lease.__enter__()

    async def __aexit__(self, *_: object) -> None:
        if self.lease is not None:
            self.lease.__exit__()
