"""What login does by itself."""

import asyncio

import pytest

from services.login.audit import Origin, record
from services.login.families import Families
from services.login.keys import DatabaseKeys
from services.login.models import Family
from services.login.repository import events_before
from services.login.settings import Settings
from services.login.upkeep import Upkeep
from shared.errors import Unavailable
from shared.http.health import Health
from shared.storage.database import Database
from tests.clocks import Clock

DAY = 86400.0


async def test_what_is_over_is_removed_and_the_rest_stays(database: Database, clock: Clock) -> None:
    settings = Settings(audit_days=60)
    families = Families(settings, clock)
    upkeep = Upkeep(settings, database, DatabaseKeys(settings, database, clock), clock)
    async with database.transaction("default") as session:
        token = (await families.open(session, subject="guest-1", account=None)).token
        record(session, "logged_in", Origin(address="here"), at=clock())
    for days, families_left, events_left in ((29, 1, 1), (2, 0, 1), (30, 0, 0)):
        clock.advance(days * DAY)
        await upkeep.once()
        async with database.reading("default") as session:
            assert (await session.get(Family, token.partition(".")[0]) is not None) == bool(families_left)
            assert len(await events_before(session, None, 10)) == events_left


async def test_a_round_that_fails_is_followed_by_the_next(database: Database, clock: Clock) -> None:
    rounds = asyncio.Semaphore(0)

    class Failing(DatabaseKeys):
        async def refresh(self) -> None:
            rounds.release()
            raise Unavailable("not today")

    settings = Settings(upkeep_seconds=0.001)
    health = Health({})
    upkeep = Upkeep(settings, database, Failing(settings, database, clock), clock)
    task = asyncio.create_task(upkeep.forever(health))
    async with asyncio.timeout(10):
        for _ in range(3):
            await rounds.acquire()
    assert health.stalled() == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
