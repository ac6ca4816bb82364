"""The business service, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.business.api import Business, router
from services.business.relay import Relay
from services.business.rules import RuleBook
from services.business.seed import seed
from services.business.settings import Settings
from shared.database import Database, migrate
from shared.errors import Unavailable
from shared.problems import problem_response
from shared.service import JwksFetch, ServiceContext, create_service

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None, *, jwks: JwksFetch | None = None) -> FastAPI:
    """The business service: the shop's look-ups, decisions and results over HTTP.

    Raises:
        RulesError: a decision table cannot be used.
    """
    settings = settings or Settings()
    rules = RuleBook(settings.rules_dir)
    database = Database(settings.business_database)

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        try:
            if settings.migrate_on_start:
                await asyncio.to_thread(migrate, "business", settings.business_database)
            if settings.demo:
                added = await seed(database, settings.tenant)
                log.info("demo_seeded", orders=added)
            relay = Relay(settings, database)
            app.state.business = Business(database=database, rules=rules, relay=relay)
            max_age = settings.relay_seconds * 3 + 60
            task = asyncio.create_task(relay.run(lambda: context.health.beat("relay", max_age=max_age)), name="relay")
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await relay.close()
        finally:
            await database.close()

    app = create_service(
        settings,
        name="business",
        description="What gets done: the shop's orders, the rules, and the actions that conversations ask for.",
        routers=[router],
        lifespan=lifespan,
        ready_checks={"database": database.check},
        jwks=jwks,
    )
    for error in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(error, _database_away)
    return app


async def _database_away(_request: Request, error: Exception) -> Response:
    log.error("database_unavailable", error=type(error).__name__)
    return problem_response(Unavailable("the database does not answer; try again", retry_after=1))
