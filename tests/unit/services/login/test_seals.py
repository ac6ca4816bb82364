"""Seals: whatever is done to the audit log behind login's back is seen."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.login.audit import Origin, record
from services.login.models import AuditEvent
from services.login.repository import delete_audit_before
from services.login.seals import Seals
from services.login.settings import Settings
from shared.storage.database import ALL_TENANTS, Database
from tests.clocks import Clock

TENANT = "default"


async def write(database: Database, clock: Clock, count: int, tenant: str = TENANT) -> None:
    for number in range(count):
        async with database.transaction(tenant) as session:
            record(session, "logged_in", Origin(address="here", actor=f"a-{number}"), at=clock(), detail={"n": number})
        clock.advance(60)


@pytest.fixture
async def seals(database: Database, clock: Clock) -> Seals:
    """Of a log of six events."""
    seals = Seals(Settings(), database)
    await write(database, clock, 6)
    await seals.seal()
    return seals


async def test_a_log_that_nobody_touched_is_whole(seals: Seals, database: Database, clock: Clock) -> None:
    assert (await seals.check(TENANT)).model_dump() == {"checked": 6, "broken": None}
    await write(database, clock, 2, "other")
    await write(database, clock, 2)
    await seals.seal()
    await seals.seal()
    assert (await seals.check(TENANT)).model_dump() == {"checked": 8, "broken": None}
    assert (await seals.check("other")).model_dump() == {"checked": 2, "broken": None}
    assert (await seals.check("nobody")).model_dump() == {"checked": 0, "broken": None}


CHANGES: list[tuple[Callable[[AsyncSession], Awaitable[object]], int]] = [
    (lambda session: session.execute(update(AuditEvent).where(AuditEvent.place == 3).values(actor="another")), 3),
    (lambda session: session.execute(update(AuditEvent).where(AuditEvent.place == 3).values(detail={"n": 9})), 3),
    (lambda session: session.execute(update(AuditEvent).where(AuditEvent.place == 1).values(address="there")), 1),
    (lambda session: session.execute(delete(AuditEvent).where(AuditEvent.place == 4)), 4),
    (lambda session: session.execute(update(AuditEvent).where(AuditEvent.place == 6).values(seal="0" * 64)), 6),
]


@pytest.mark.parametrize(("change", "place"), CHANGES)
async def test_what_was_changed_or_taken_out_is_seen(
    seals: Seals, database: Database, change: Callable[[AsyncSession], Awaitable[object]], place: int
) -> None:
    async with database.transaction(TENANT) as session:
        await change(session)
    assert (await seals.check(TENANT)).broken == place


async def test_with_another_secret_no_seal_is_made(seals: Seals, database: Database) -> None:
    forger = Seals(Settings.model_validate({"login_secret": "x" * 40}), database)
    assert (await forger.check(TENANT)).broken == 1


async def test_seals_of_the_login_secret_before_are_known(seals: Seals, database: Database, clock: Clock) -> None:
    later = Settings.model_validate({"login_secret": "x" * 40, "login_secret_accepted": Settings().login_secret})
    following = Seals(later, database)
    await write(database, clock, 2)
    await following.seal()
    assert (await following.check(TENANT)).model_dump() == {"checked": 8, "broken": None}
    assert (await seals.check(TENANT)).broken == 7, "new ones are made with the new secret"


async def test_what_is_not_kept_any_more_leaves_the_rest_whole(seals: Seals, database: Database, clock: Clock) -> None:
    clock.advance(-60 * 3)
    async with database.transaction(ALL_TENANTS) as session:
        await delete_audit_before(session, clock())
    assert (await seals.check(TENANT)).model_dump() == {"checked": 3, "broken": None}
    async with database.transaction(TENANT) as session:
        await session.execute(delete(AuditEvent).where(AuditEvent.place == 5))
    assert (await seals.check(TENANT)).broken == 5


async def test_an_old_event_that_was_sealed_late_leaves_no_gap(database: Database, clock: Clock) -> None:
    seals = Seals(Settings(), database)
    await write(database, clock, 2)
    moment = clock()
    clock.advance(-3600)
    await write(database, clock, 1)
    await seals.seal()
    clock.moment = moment
    await write(database, clock, 1)
    await seals.seal()
    async with database.transaction(ALL_TENANTS) as session:
        await delete_audit_before(session, moment.replace(minute=0) if moment.minute else moment)
    assert (await seals.check(TENANT)).broken is None
