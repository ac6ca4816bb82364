"""The business service, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI

from services.business import repository
from services.business.actions.approvals import EXPIRY, REMINDER, ApprovalTimers
from services.business.actions.ledger import Ledger
from services.business.actions.outbox import LedgerOutbox
from services.business.actions.repository import TIMERS
from services.business.actions.unknown import RECONCILE, Reconciler
from services.business.api import actions, approvals, dead_letters, lookups
from services.business.api.dependencies import Business
from services.business.connectors.assistants import Assistants
from services.business.connectors.effects import Effects
from services.business.models import Installation
from services.business.releases import LINGER_SECONDS, FollowedAssistants, shelf_of
from services.business.rules.rule_book import shop_rules
from services.business.rules.rules import Rules
from services.business.settings import Settings
from services.business.shop.seed import seed
from shared.http.service import JwksFetch, ServiceContext, create_service
from shared.queue.installation import claim_prefix
from shared.queue.outbox import OutboxRelay
from shared.releases.follower import LOOP, Follower, has_learning
from shared.storage.database import Database
from shared.storage.installation import identity_of
from shared.storage.migrations import bring_up
from shared.storage.retention import RETENTION, Kept, Retention
from shared.storage.timers import TimerLoop

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None, *, jwks: JwksFetch | None = None) -> FastAPI:
    """The business service: the shop's look-ups, decisions and results over HTTP.

    Raises:
        ConfigurationError: a decision table or a connector cannot be used.
    """
    settings = settings or Settings()
    rules = shop_rules(settings.rules_dir, connectors=settings.has_connectors)
    own = Rules(settings.rules_dir, changes=True) if settings.has_connectors else None
    assistants = Assistants(settings, lambda folder: own if own and folder == settings.rules_dir else Rules(folder))
    database = Database(settings.business_database)

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        try:
            await bring_up("business", settings)
            identity = await identity_of(database, Installation)
            await claim_prefix(settings.redis_url, settings.installation, "business", identity)
            if settings.demo:
                added = await seed(database, settings.tenant)
                log.info("demo_seeded", orders=added)
            outbox = LedgerOutbox(settings, database)
            relay = OutboxRelay("ledger", database, outbox, look_seconds=settings.relay_seconds)
            ledger = Ledger(database, rules, settings, Effects(assistants))
            app.state.business = Business(
                database=database, rules=rules, ledger=ledger, relay=relay, assistants=assistants
            )
            max_age = settings.relay_seconds * 3 + 60
            retention = Retention(
                database,
                TIMERS,
                settings.tenant,
                [
                    Kept(what="actions", days=settings.action_days, delete=repository.delete_actions),
                    Kept(what="dead_letters", days=settings.action_days, delete=repository.delete_dead_letters),
                ],
            )
            await retention.begin()
            waits = ApprovalTimers(database)
            handlers = {
                RETENTION: retention.on_timer,
                EXPIRY: waits.on_expiry,
                REMINDER: waits.on_reminder,
                RECONCILE: Reconciler(database, settings).on_timer,
            }
            timers = TimerLoop(database, TIMERS, handlers)
            follower = Follower(
                "business",
                context.instance,
                shelf_of(settings, "business"),
                FollowedAssistants(assistants),
                context.client,
                follows=has_learning(settings),
                linger_seconds=LINGER_SECONDS,
                beat=partial(context.health.beat, LOOP, max_age=60.0),
            )
            await follower.begin()
            tasks = [
                asyncio.create_task(follower.run(), name="releases"),
                asyncio.create_task(relay.run(partial(context.health.beat, "relay", max_age=max_age)), name="relay"),
                asyncio.create_task(timers.run(partial(context.health.beat, "timers", max_age=60.0)), name="timers"),
            ]
            watched = rules or own
            if watched is not None:
                watching = watched.watch(partial(context.health.beat, "rules", max_age=60.0))
                tasks.append(asyncio.create_task(watching, name="rules"))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await follower.close()
                await outbox.close()
                await assistants.close()
        finally:
            await database.close()

    return create_service(
        settings,
        name="business",
        description="What gets done: the shop's orders, the rules, and the actions that conversations ask for.",
        direct=[lookups.DIRECT],
        routers=[lookups.router, actions.router, approvals.router, dead_letters.router],
        lifespan=lifespan,
        ready_checks={"database": database.check},
        jwks=jwks,
    )
