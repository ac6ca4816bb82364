"""How many customers wait for a person, and for how long: measured for dashboards and alerts."""

import asyncio
from collections.abc import Callable

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from services.dialogue.desk import repository
from shared.errors import Unavailable
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["measure_waiting"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0

WAITING = Gauge("zhiyin_handoffs_waiting", "Conversations that wait for a person")
OLDEST = Gauge("zhiyin_handoffs_oldest_seconds", "For how long the first of them has waited")


async def measure_waiting(database: Database, beat: Callable[[], None], *, seconds: float = LOOK_SECONDS) -> None:
    """Measures until it is cancelled; `beat` is called at every look."""
    while True:
        beat()
        try:
            async with database.reading(ALL_TENANTS) as session:
                waiting, oldest = await repository.waiting(session)
            WAITING.set(waiting)
            OLDEST.set(0 if oldest is None else (now() - oldest).total_seconds())
        except (SQLAlchemyError, Unavailable) as error:
            log.warning("waiting_not_measured", error=type(error).__name__)
        await asyncio.sleep(seconds)
