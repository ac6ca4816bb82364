"""The outbox: sends decided actions to business until their final result has come back.

An action's row is committed with the turn that decided it. Sending it twice does no harm (business performs an id once
and tells the stored result again), not sending it would, so it is sent until the result is here.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from prometheus_client import Counter
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from services.dialogue.conversation import repository
from services.dialogue.settings import Settings
from shared.contracts.actions import PERFORM_TASK
from shared.errors import Unavailable
from shared.queue.celery import ACTIONS, celery_app
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["Relay"]

log = structlog.get_logger(__name__)

BATCH = 50
LOOK_SECONDS = 1.0

SENT = Counter("zhiyin_outbox_sent_total", "Actions put on the queue", ["again"])


class Relay:
    """Puts due actions on the queue, at once when told of new ones, and again as long as no result is here."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._celery: Celery = celery_app("dialogue", settings.redis_url)
        self._kick = asyncio.Event()

    def kick(self) -> None:
        """Says that there is something new to send."""
        self._kick.set()

    async def run(self, beat: Callable[[], None]) -> None:
        """Sends for ever."""
        while True:
            beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._kick.wait()
            self._kick.clear()
            try:
                for request, attempts in await self._claim():
                    await asyncio.to_thread(self._send, request)
                    SENT.labels("no" if attempts == 1 else "yes").inc()
            except (OperationalError, RedisError, OSError, SQLAlchemyError, Unavailable) as error:
                log.warning("outbox_not_sent", error=type(error).__name__)

    async def _claim(self) -> list[tuple[dict[str, Any], int]]:
        """Takes what is due and says when it will be due again, before it is sent: a crash between costs a delay."""
        moment = now()
        async with self._database.reading(ALL_TENANTS) as session:
            if not await repository.due_actions(session, moment, 1):
                return []
        async with self._database.transaction(ALL_TENANTS) as session:
            rows = await repository.due_actions(session, moment, BATCH)
            for row in rows:
                row.attempts += 1
                row.next_attempt_at = moment + self._pause(row.attempts)
            return [(row.request, row.attempts) for row in rows]

    def _pause(self, attempts: int) -> timedelta:
        first, most = self._settings.resend_first_seconds, self._settings.resend_most_seconds
        return timedelta(seconds=min(most, first * 2.0 ** min(attempts - 1, 16)))

    def _send(self, request: dict[str, Any]) -> None:
        self._celery.send_task(PERFORM_TASK, kwargs={"action": request}, task_id=request["id"], queue=ACTIONS)
