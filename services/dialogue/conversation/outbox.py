"""Dialogue's outbox: decided actions, sent to business until their final result has come back.

An action's row is committed with the turn that decided it. Business performs an id once and answers a repeated one
with the stored result, so an action is sent again for as long as no final result has been applied.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.conversation import repository
from services.dialogue.settings import Settings
from shared.contracts.actions import PERFORM_TASK
from shared.queue.celery import ACTIONS, celery_app
from shared.queue.outbox import OutboxRelay, pause_after
from shared.storage.database import Database

__all__ = ["action_relay"]

LOOK_SECONDS = 1.0

SENT = Counter("zhiyin_outbox_sent_total", "Actions put on the queue", ["again"])


@dataclass(frozen=True)
class DueAction:
    """An action to be sent, and how often it has been sent, this time included."""

    request: dict[str, Any]
    attempts: int


class ActionOutbox:
    """The rows of the outbox table, sent to the queue of actions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._celery = celery_app("dialogue", settings.redis_url)

    async def has_due(self, session: AsyncSession, moment: datetime) -> bool:
        """Whether an action waits to be sent."""
        return bool(await repository.due_actions(session, moment, 1))

    async def claim(self, session: AsyncSession, moment: datetime, limit: int) -> Sequence[DueAction]:
        """Due actions; each is due again after a pause that grows with its attempts."""
        rows = await repository.due_actions(session, moment, limit)
        for row in rows:
            row.attempts += 1
            row.next_attempt_at = moment + pause_after(
                row.attempts,
                first_seconds=self._settings.resend_first_seconds,
                most_seconds=self._settings.resend_most_seconds,
            )
        return [DueAction(row.request, row.attempts) for row in rows]

    async def send(self, item: DueAction) -> None:
        """Put the action on the queue."""
        await asyncio.to_thread(
            self._celery.send_task,
            PERFORM_TASK,
            kwargs={"action": item.request},
            task_id=item.request["id"],
            queue=ACTIONS,
        )
        SENT.labels("no" if item.attempts == 1 else "yes").inc()


def action_relay(settings: Settings, database: Database) -> OutboxRelay:
    """The relay of dialogue's outbox."""
    return OutboxRelay("actions", database, ActionOutbox(settings), look_seconds=LOOK_SECONDS)
