"""The learning service, put together."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.learning.api import bundles, releases
from services.learning.api.dependencies import Learning
from services.learning.models import Installation
from services.learning.publishing.following import Changes
from services.learning.publishing.pipeline import Pipeline
from services.learning.publishing.store import BundleStore
from services.learning.publishing.trainer import ProcessTrainer, Trainer
from services.learning.settings import Settings
from shared.assistants.bundle import MAX_BUNDLE_BYTES
from shared.http.service import JwksFetch, ServiceContext, create_service
from shared.storage.database import Database
from shared.storage.installation import identity_of
from shared.storage.migrations import bring_up

__all__ = ["create_app"]

BUNDLES = "/v1/bundles/"
LOOP_MAX_AGE_SECONDS = 60.0


def create_app(
    settings: Settings | None = None, *, jwks: JwksFetch | None = None, trainer: Trainer | None = None
) -> FastAPI:
    """The learning service: releases of assistants, from a bundle to what services follow.

    Args:
        trainer: where models are trained; by default in child processes.

    Raises:
        ConfigurationError: the store of bundles cannot be used.
    """
    settings = settings or Settings()
    store = BundleStore(settings.store_url)
    database = Database(settings.learning_database)

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        try:
            await bring_up("learning", settings)
            identity = await identity_of(database, Installation)
            changes = Changes(database, identity, look_seconds=settings.look_seconds, stopping=context.health.stopping)
            pipeline = Pipeline(
                settings, database, store, trainer or ProcessTrainer(settings), changes, holder=uuid.uuid4().hex
            )
            app.state.learning = Learning(database=database, store=store, pipeline=pipeline, changes=changes)
            loops = {"releases": pipeline.run, "changes": changes.run}
            tasks = [
                asyncio.create_task(run(partial(context.health.beat, name, max_age=LOOP_MAX_AGE_SECONDS)), name=name)
                for name, run in loops.items()
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await database.close()

    return create_service(
        settings,
        name="learning",
        description="How it gets better: releases of assistants, and the models that they go by.",
        routers=[bundles.router, releases.router],
        lifespan=lifespan,
        ready_checks={"database": database.check},
        jwks=jwks,
        large_bodies={BUNDLES: MAX_BUNDLE_BYTES},
    )
