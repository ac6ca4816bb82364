"""A conversation's events as they happen, as server-sent events."""

import time
from collections.abc import AsyncGenerator
from functools import partial

from services.dialogue.conversation import repository
from services.dialogue.conversation.notifier import Wakes
from shared.contracts.events import Event
from shared.errors import Unavailable
from shared.http.health import Health
from shared.storage.database import Database
from shared.storage.statements import Unit

__all__ = ["server_sent_events", "wait_for_events"]

BATCH = 100
KEEP_ALIVE_SECONDS = 15.0
MAX_LIFE_SECONDS = 600.0
RETRY_MILLISECONDS = 1000


async def wait_for_events(
    database: Database, wakes: Wakes, *, tenant: str, conversation_id: str, after: int, limit: int, seconds: float
) -> list[Event]:
    """The events behind `after`; waits up to `seconds` for the first one."""
    until = time.monotonic() + seconds
    async with wakes.watching(conversation_id) as wake:
        while True:
            wake.clear()
            events = await database.read(tenant, partial(_events, conversation_id, after, limit))
            left = until - time.monotonic()
            if events or left <= 0:
                return events
            await wakes.wait(wake, left)


async def server_sent_events(
    database: Database, wakes: Wakes, health: Health, *, tenant: str, conversation_id: str, after: int
) -> AsyncGenerator[str, None]:
    """Every event behind `after`, each with its `seq` as id, then those to come; the client resumes with the last id.

    Ends after ten minutes, and when the process stops: clients come back by themselves, to another replica.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    born = spoken = time.monotonic()
    async with wakes.watching(conversation_id) as wake:
        while not health.stopping.is_set():
            wake.clear()
            try:
                events = await database.read(tenant, partial(_events, conversation_id, after, BATCH))
            except Unavailable:
                # The database comes back; this client should not have to.
                events = []
            for event in events:
                after = event.seq
                yield f"id: {event.seq}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
            moment = time.monotonic()
            if events:
                spoken = moment
                continue
            if moment - born > MAX_LIFE_SECONDS:
                break
            if moment - spoken > KEEP_ALIVE_SECONDS:
                yield ": still here\n\n"
                spoken = moment
            await wakes.wait(wake, KEEP_ALIVE_SECONDS)
    yield "event: reconnect\ndata: {}\n\n"


def _events(conversation_id: str, after: int, limit: int, unit: Unit) -> list[Event]:
    return repository.events_after(unit, conversation_id, after, limit)
