"""What login does by itself: keys are rotated, and what has expired is removed."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.login.keys import Keys
from services.login.repository import delete_audit_before, delete_families_before
from services.login.seals import Seals
from services.login.settings import Settings
from shared.errors import ZhiyinError
from shared.http.auth import LEEWAY_SECONDS
from shared.http.health import Health
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["Upkeep"]

log = structlog.get_logger(__name__)

BEATS_MISSED = 5
"""A database that is away makes a round late; a loop that has stopped altogether makes the process not alive."""


class Upkeep:
    """One round of everything, again and again."""

    def __init__(self, settings: Settings, database: Database, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._period = settings.upkeep_seconds
        self._audit_kept = timedelta(days=settings.audit_days)
        self._tokens_live = timedelta(seconds=settings.longest_access_seconds + LEEWAY_SECONDS)
        self._database = database
        self._seals = Seals(settings, database)
        self._keys = keys
        self._clock = clock

    async def once(self) -> None:
        """Does everything that is due now."""
        await self._keys.refresh()
        await self._seals.seal()
        moment = self._clock()
        async with self._database.transaction(ALL_TENANTS) as session:
            # Their last access tokens may be good a little longer, and may have to be revoked.
            await delete_families_before(session, moment - self._tokens_live)
            await delete_audit_before(session, moment - self._audit_kept)

    async def forever(self, health: Health) -> None:
        """A round every `upkeep_seconds`; one that fails is logged and tried again."""
        while True:
            health.beat("upkeep", max_age=BEATS_MISSED * self._period + 30)
            await asyncio.sleep(self._period)
            try:
                await self.once()
            except (SQLAlchemyError, ZhiyinError, OSError) as error:
                log.warning("upkeep_failed", error=type(error).__name__)
