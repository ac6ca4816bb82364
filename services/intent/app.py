"""The understanding server: wiring only."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from services.intent.api import router
from services.intent.registry import ModelRegistry
from services.intent.settings import Settings
from shared.service import ServiceContext, create_service

__all__ = ["create_app"]


def create_app(
    settings: Settings | None = None, *, jwks: Callable[[], Awaitable[Mapping[str, Any]]] | None = None
) -> FastAPI:
    """The server of one process; it answers once all its models are loaded and warm.

    Args:
        jwks: where the keys for access tokens come from; by default the login service.
    """
    settings = settings or Settings()
    models = ModelRegistry()

    @asynccontextmanager
    async def serve(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        app.state.models = models
        try:
            await models.load(settings)
            context.meta.update(models.meta())
            yield
        finally:
            models.close()

    return create_service(
        settings,
        name="intent",
        description="What customers mean: language, intents, entities, sentiment and out-of-scope from one model pass.",
        routers=[router],
        lifespan=serve,
        ready_checks={"models": models.check},
        jwks=jwks,
    )
