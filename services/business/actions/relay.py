"""Finishes what a crash left half told: publishes results that are stored and not on the queue, and puts actions that
were begun and never ended on the queue again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from services.business import repository
from services.business.actions.ledger import stored_result
from services.business.actions.results import QUEUE_ERRORS, ResultPublisher
from services.business.settings import Settings
from shared.contracts.actions import PERFORM_TASK
from shared.errors import Unavailable
from shared.queue.celery import ACTIONS, celery_app
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["Relay"]

log = structlog.get_logger(__name__)

BATCH = 100
GRACE = timedelta(seconds=2)
"""The worker publishes by itself at once; the relay leaves it that long."""

PUBLISHED = Counter("zhiyin_business_results_relayed_total", "Results that the relay published")
RESENT = Counter("zhiyin_business_actions_resent_total", "Actions that were stuck and were put on the queue again")
LETTERS = Gauge("zhiyin_business_dead_letters_waiting", "Dead letters that nobody has tried again")


class Relay:
    """Looks every `relay_seconds`, and at once when it is told that there is something."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._publisher = ResultPublisher(settings.redis_url)
        self._celery = celery_app("business", settings.redis_url)
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Says that something was just decided here: no worker will publish it."""
        self._kicked.set()

    async def run(self, beat: Callable[[], None]) -> None:
        """Looks for ever; `beat` is called at every look."""
        while True:
            beat()
            try:
                await self.look(at_once=self._kicked.is_set())
            except (*QUEUE_ERRORS, SQLAlchemyError, Unavailable) as error:
                log.warning("relay_held_up", error=type(error).__name__)
            except Exception as error:
                # One row that cannot be read must not stop what keeps every other promise.
                log.error("relay_failed", error=type(error).__name__, exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.relay_seconds):
                    await self._kicked.wait()

    async def look(self, *, at_once: bool = False) -> None:
        """One look at both tables; `at_once` also takes what a worker may be about to publish.

        Raises:
            QUEUE_ERRORS: the queue is away.
            Unavailable: the database is.
        """
        self._kicked.clear()
        async with self._database.reading(ALL_TENANTS) as session:
            LETTERS.set(await repository.count_dead_letters(session))
            settled = now() if at_once else now() - GRACE
            records = [
                each for each in await repository.unpublished_records(session, BATCH) if each.updated_at <= settled
            ]
            results = [result for record in records if (result := stored_result(record)) is not None]
            overdue = bool(await repository.overdue_actions(session, now(), 1))
        for result in results:
            await asyncio.to_thread(self._publisher.publish, result)
            PUBLISHED.inc()
        if results:
            async with self._database.transaction(ALL_TENANTS) as session:
                for result in results:
                    await repository.mark_published(session, result)
        if overdue:
            for request in await self._claim():
                await asyncio.to_thread(self._send, request)
                RESENT.inc()

    async def close(self) -> None:
        """Gives the connections back."""
        await asyncio.to_thread(self._publisher.close)
        await asyncio.to_thread(self._celery.close)

    async def _claim(self) -> list[dict[str, Any]]:
        """Takes what is due and says when it will be due again, before it is sent: a crash between costs a delay."""
        moment = now()
        async with self._database.transaction(ALL_TENANTS) as session:
            records = await repository.overdue_actions(session, moment, BATCH)
            for record in records:
                record.resend_at = moment + timedelta(seconds=self._settings.resend_seconds)
            return [record.request for record in records]

    def _send(self, request: dict[str, Any]) -> None:
        self._celery.send_task(PERFORM_TASK, kwargs={"action": request}, task_id=request["id"], queue=ACTIONS)
