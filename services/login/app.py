"""Puts the login service together."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy.engine import make_url

from services.login.accounts import Accounts
from services.login.api import administration, instances, oauth, people, services
from services.login.api.dependencies import Login
from services.login.bootstrap import apply_bootstrap
from services.login.clients import Clients
from services.login.devices import Devices
from services.login.families import Families
from services.login.keys import make_keys
from services.login.limits import Limits, connect
from services.login.passwords import Passwords
from services.login.sessions import Sessions
from services.login.settings import Settings
from services.login.tokens import TokenIssuer
from services.login.upkeep import Upkeep
from shared.http.service import ServiceContext, create_service
from shared.storage.database import Database, now
from shared.storage.migrations import bring_up

__all__ = ["create_app"]

NAME = "login"


def create_app(settings: Settings | None = None, *, clock: Callable[[], datetime] = now) -> FastAPI:
    """The login service as an ASGI application; `clock` gives the current time."""
    settings = settings or Settings()
    url = settings.database(NAME)
    database = Database(url)
    keys = make_keys(settings, database, clock)

    @asynccontextmanager
    async def run(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await bring_up(NAME, settings)
            _keep_private(url)
            passwords = await asyncio.to_thread(_make_passwords, settings)
            stack.callback(passwords.close)
            limits = Limits(connect(settings.redis_url), settings)
            stack.push_async_callback(limits.close)
            await apply_bootstrap(settings, database, passwords)
            upkeep = Upkeep(settings, database, keys, clock)
            await upkeep.once()
            issuer = TokenIssuer(settings, keys, clock)
            sessions = Sessions(settings, database, Families(settings, clock), issuer, limits, clock)
            app.state.login = Login(
                settings=settings,
                database=database,
                accounts=Accounts(settings, database, passwords, limits, sessions, Devices(settings, clock), clock),
                sessions=sessions,
                clients=Clients(settings, database, issuer, limits, clock),
                keys=keys,
            )
            task = asyncio.create_task(upkeep.forever(context.health), name="upkeep")
            stack.push_async_callback(_cancel, task)
            yield

    async def own_keys() -> Mapping[str, Any]:
        return keys.published()

    async def own_revocations(since: float) -> Mapping[str, Any]:
        ended = await app.state.login.sessions.ended_since(datetime.fromtimestamp(since, UTC))
        return dict(ended)

    app = create_service(
        settings,
        name=NAME,
        description="Who is talking: accounts, tokens and keys.",
        routers=[people.router, oauth.router, services.router, instances.router, administration.router],
        lifespan=run,
        # Redis is not among them: without it nobody logs in, but sessions go on and keys are still needed.
        ready_checks={"database": database.check},
        jwks=own_keys,
        revocations=own_revocations,
    )
    return app


def _make_passwords(settings: Settings) -> Passwords:
    return Passwords(
        memory_kib=settings.argon2_memory_kib,
        iterations=settings.argon2_iterations,
        parallelism=settings.argon2_parallelism,
        threads=settings.password_threads,
        queue=settings.password_queue,
    )


def _keep_private(url: str) -> None:
    """A database that is a file is for this user only."""
    file = make_url(url).database
    if make_url(url).get_backend_name() == "sqlite" and file and Path(file).is_file():
        os.chmod(file, 0o600)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
