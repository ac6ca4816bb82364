"""The understanding server: wiring only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from services.intent.api import DIRECT, routers
from services.intent.api.protocol_errors import ProtocolErrors
from services.intent.explanation.explainer import Explainer
from services.intent.kinds.kind import Kind
from services.intent.kinds.known import KINDS
from services.intent.rollout.controller import FOLLOWING, REVIEWING, Rollout
from services.intent.rollout.loaded_models import LoadedModels
from services.intent.rollout.releases import ReleasedModels
from services.intent.settings import Settings
from services.intent.versions.model_registry import open_registry
from shared.http.service import ServiceContext, create_service
from shared.releases.follower import LOOP, Follower, has_learning
from shared.releases.shelf import Shelf

__all__ = ["create_app"]

MAX_AGE_SECONDS = {FOLLOWING: 600.0, REVIEWING: 60.0}
"""How long a loop of the rollout may be silent: to verify, to load and to prove a large version are long steps."""
RELEASES_MAX_AGE_SECONDS = 60.0


def create_app(
    settings: Settings | None = None,
    *,
    kinds: Mapping[str, Kind] = KINDS,
    jwks: Callable[[], Awaitable[Mapping[str, Any]]] | None = None,
) -> FastAPI:
    """The server of one process; it answers once all its models are loaded and warm.

    Args:
        kinds: the kinds of model that it serves.
        jwks: where the keys for access tokens come from; by default the login service.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def serve(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        registry = open_registry(settings.mlflow_uri, settings.home)
        models = LoadedModels(settings, registry, kinds)
        app.state.models = models
        app.state.explainer = explainer = Explainer()
        try:
            await models.load(settings)
            context.meta = models.meta

            def beat(loop: str) -> None:
                context.health.beat(loop, max_age=MAX_AGE_SECONDS[loop] + settings.model_poll_seconds)

            rollout = Rollout(models, registry, settings, beat=beat)
            follower = Follower(
                "intent",
                context.instance,
                Shelf(settings.home / "data" / "releases" / "intent"),
                ReleasedModels(models, registry, rollout, settings),
                context.client,
                follows=has_learning(settings),
                beat=partial(context.health.beat, LOOP, max_age=RELEASES_MAX_AGE_SECONDS),
            )
            await follower.begin()
            loops = [
                asyncio.create_task(rollout.run(), name="rollout"),
                asyncio.create_task(follower.run(), name="releases"),
            ]
            try:
                yield
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
                await follower.close()
        finally:
            await asyncio.to_thread(explainer.close)
            await models.close()
            await registry.close()

    async def check() -> None:
        models: LoadedModels = app.state.models
        await models.check()

    app = create_service(
        settings,
        name="intent",
        description="What customers mean: language, intents, entities, sentiment and out-of-scope from one model pass.",
        routers=routers(kinds),
        direct=DIRECT,
        lifespan=serve,
        ready_checks={"models": check},
        jwks=jwks,
    )
    app.add_middleware(ProtocolErrors)
    return app
