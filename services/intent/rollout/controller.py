"""Follows the aliases of the model registry: what they name is fetched, verified, proven, swapped in and watched.

A version that fails anywhere is refused, and what serves goes on. It is tried again when the alias, or what was
registered, changes.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

import structlog
from prometheus_client import Counter

from services.intent.rollout.loaded_models import LoadedModels
from services.intent.settings import Settings
from services.intent.versions.deployment import Deployment, Refusal
from services.intent.versions.fetching import obtain
from services.intent.versions.golden_check import prove
from services.intent.versions.live import LiveModel
from services.intent.versions.model_registry import ALIASES, PRODUCTION, ModelRegistry, Registered, RegistryUnavailable
from shared.errors import ZhiyinError

__all__ = ["FOLLOWING", "REVIEWING", "Rollout"]

FOLLOWING, REVIEWING = "rollout", "rollout-review"
"""The names by which the loops report."""

log = structlog.get_logger(__name__)

REVIEW_SECONDS = 0.25

Outcome = Literal["swapped", "refused", "rolled_back", "withdrawn", "confirmed"]

ROLLED_OUT = Counter(
    "zhiyin_intent_rollouts_total", "What became of versions that an alias named", ["model", "alias", "outcome"]
)
ASKED = Counter("zhiyin_intent_registry_reads_total", "How asking the model registry for aliases ended", ["outcome"])


class Rollout:
    """Keeps the deployments at what the aliases name."""

    def __init__(
        self,
        models: LoadedModels,
        registry: ModelRegistry,
        settings: Settings,
        *,
        beat: Callable[[str], None] = lambda loop: None,
    ) -> None:
        """Args:
        beat: called with the name of a loop whenever it turns, and while it fetches.
        """
        self._beat = beat
        self._models = models
        self._registry = registry
        self._settings = settings
        self._reachable = True

    async def run(self) -> None:
        """Follows and reviews until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._always(FOLLOWING, self.follow, self._settings.model_poll_seconds))
            tasks.create_task(self._always(REVIEWING, self.review, REVIEW_SECONDS))
            tasks.create_task(self._models.mirror.run())

    async def follow(self) -> None:
        """Brings every loaded model to what its aliases name."""
        for deployment in self._models.deployments:
            self._beat(FOLLOWING)
            if self._models.is_published(deployment.name):
                # A release says what is in production there.
                continue
            try:
                named = await self._registry.aliases(deployment.name)
                ASKED.labels("ok").inc()
                self._reachable = True
            except RegistryUnavailable as error:
                ASKED.labels("failed").inc()
                if self._reachable:
                    log.warning("model_registry_unavailable", reason=str(error))
                self._reachable = False
                continue
            for alias in ALIASES:
                await self._follow(deployment, alias, named.get(alias))
            self._models.measure(deployment.name)

    async def review(self) -> None:
        """Takes back what does badly, and ends the watch over what did well."""
        for deployment in self._models.deployments:
            breach = deployment.breach()
            if breach is not None:
                self._take_back(deployment, breach.alias, breach.reason)
            elif deployment.watch_is_over:
                deployment.settle()
                self._remember(deployment)
                self._tell(deployment, PRODUCTION, "confirmed", deployment.production)

    def remember(self, deployment: Deployment) -> None:
        """Writes down what is in production, where it is good, for the next start."""
        if deployment.previous is None:
            self._remember(deployment)

    async def _follow(self, deployment: Deployment, alias: str, registered: Registered | None) -> None:
        production = deployment.production
        live = deployment.at(alias)
        if production is None:
            # It was unloaded meanwhile; it is brought up to date when it is asked for again.
            return
        if registered is None or (alias != PRODUCTION and registered.digest == production.digest):
            deployment.refusals.pop(alias, None)
            if alias != PRODUCTION and live is not None:
                deployment.place(alias, None)
            return
        if live is not None and live.digest == registered.digest:
            deployment.refusals.pop(alias, None)
            if alias == PRODUCTION and deployment.previous is None:
                self._remember(deployment)
            return
        refusal = deployment.refusals.get(alias)
        if refusal is not None and refusal.registered == registered:
            return
        deployment.registered[alias] = registered
        try:
            fresh = await self._bring(deployment, alias, registered, production)
        except RegistryUnavailable as error:
            log.warning("model_registry_unavailable", reason=str(error))
            return
        except ZhiyinError as error:
            self._refuse(deployment, alias, registered, str(error))
            return
        except Exception as error:
            log.exception("version_failed", model=deployment.name, alias=alias, version=registered.version)
            self._refuse(deployment, alias, registered, f"it cannot be loaded: {type(error).__name__}")
            return
        if deployment not in self._models.deployments:
            # It was unloaded meanwhile, to make room for others.
            self._models.retire(fresh)
            return
        deployment.refusals.pop(alias, None)
        if alias == PRODUCTION:
            deployment.put_in_production(fresh, watch=True)
            if not deployment.previous:
                self._remember(deployment)
        else:
            deployment.place(alias, fresh)
        self._tell(deployment, alias, "swapped", fresh)

    async def _bring(
        self, deployment: Deployment, alias: str, registered: Registered, production: LiveModel
    ) -> LiveModel:
        """The registered version, warm and proven."""
        canary = deployment.canary
        if alias == PRODUCTION and canary is not None and canary.digest == registered.digest:
            deployment.canary = None
            return canary
        folder = self._settings.home / "models" / deployment.name
        source = await obtain(registered, self._registry, folder, beat=lambda: self._beat(FOLLOWING))
        self._beat(FOLLOWING)
        fresh = await self._models.make_live(deployment.name, source)
        self._beat(FOLLOWING)
        with production:
            try:
                await asyncio.to_thread(
                    prove,
                    fresh.model,
                    production.model,
                    self._settings,
                    forced=registered.forced,
                )
            except BaseException:
                self._models.retire(fresh)
                raise
        return fresh

    def _take_back(self, deployment: Deployment, alias: str, reason: str) -> None:
        live = deployment.at(alias)
        if alias == PRODUCTION:
            deployment.roll_back()
            self._remember(deployment)
        else:
            deployment.place(alias, None)
        if (registered := deployment.registered.get(alias)) is not None:
            deployment.refusals[alias] = Refusal(alias, registered, reason)
        self._tell(deployment, alias, "rolled_back" if alias == PRODUCTION else "withdrawn", live, reason)

    def _refuse(self, deployment: Deployment, alias: str, registered: Registered, reason: str) -> None:
        deployment.refusals[alias] = Refusal(alias, registered, reason)
        ROLLED_OUT.labels(deployment.name, alias, "refused").inc()
        log.error("version_refused", model=deployment.name, alias=alias, version=registered.version, reason=reason)
        if alias == PRODUCTION:
            self._remember(deployment)

    def _tell(
        self, deployment: Deployment, alias: str, outcome: Outcome, live: LiveModel | None, reason: str = ""
    ) -> None:
        ROLLED_OUT.labels(deployment.name, alias, outcome).inc()
        say = log.error if reason else log.info
        say(f"version_{outcome}", model=deployment.name, alias=alias, version=live and live.version, reason=reason)

    def _remember(self, deployment: Deployment) -> None:
        """Writes down what is good, for the next start; where the home is read-only, that one begins with the old."""
        models = self._settings.home / "models" / deployment.name
        live = deployment.production
        if live is None or not (models / live.version).is_dir():
            return
        pointer, fresh = models / PRODUCTION, models / f".{PRODUCTION}.{os.getpid()}"
        with suppress(OSError):
            if not pointer.exists() or pointer.read_text(encoding="utf-8").strip() != live.version:
                fresh.write_text(f"{live.version}\n", encoding="utf-8")
                os.replace(fresh, pointer)

    async def _always(self, loop: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Does the work again and again; what goes wrong once must not end it."""
        while True:
            self._beat(loop)
            try:
                await work()
            except Exception:
                log.exception("rollout_failed")
            await asyncio.sleep(seconds)
