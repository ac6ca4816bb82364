"""What queries take and leave: pages, sessions that end, and what only one may store."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from services.login.models import Account, AuditEvent, Family, SigningKey
from services.login.repository import (
    account_named,
    accounts_after,
    add_account,
    add_event,
    add_family,
    add_key,
    delete_audit_before,
    delete_families_before,
    events_before,
    revoke_families,
    signing_keys,
)
from shared.storage.database import Database
from tests.clocks import Clock

TENANT = "default"


def account(username: str) -> Account:
    return Account(username=username, display_name=username, password_hash="", roles=["customer"])


def family(clock: Clock, *, account_id: str | None = None, subject: str = "guest-1") -> Family:
    moment = clock()
    return Family(
        subject=subject, account_id=account_id, current="", rotated_at=moment, created_at=moment, expires_at=moment
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 8))
async def test_pages_of_accounts_have_each_account_once_in_order(database: Database, limit: int) -> None:
    names = ["admin", "agent7", "lilei", "zoe", "李小雷"]
    async with database.transaction(TENANT) as session:
        if await account_named(session, "admin") is None:
            for name in reversed(names):
                await add_account(session, account(name))
    read: list[str] = []
    async with database.reading(TENANT) as session:
        for _ in range(len(names) + 1):
            page = await accounts_after(session, read[-1] if read else "", limit)
            assert len(page) <= limit
            read += [each.username for each in page]
    assert read == names


async def test_a_name_is_stored_once_a_tenant(database: Database) -> None:
    for tenant in (TENANT, "other"):
        async with database.transaction(tenant) as session:
            await add_account(session, account("lilei"))
    with pytest.raises(IntegrityError):
        async with database.transaction(TENANT) as session:
            await add_account(session, account("lilei"))


async def test_ending_an_accounts_sessions_leaves_others_and_those_that_were_over(
    database: Database, clock: Clock
) -> None:
    before = clock()
    async with database.transaction(TENANT) as session:
        mine, theirs = account("lilei"), account("hanmeimei")
        for each in (mine, theirs):
            await add_account(session, each)
        families = [family(clock, account_id=each, subject="s") for each in (mine.id, mine.id, theirs.id, None)]
        families[0].revoked_at = before
        for stored in families:
            await add_family(session, stored)
        ids = [each.id for each in families]
    clock.advance(60)
    async with database.transaction(TENANT) as session:
        await revoke_families(session, mine.id, clock())
    async with database.reading(TENANT) as session:
        ended = [(await session.get_one(Family, each)).revoked_at for each in ids]
    assert ended == [before, clock(), None, None]


async def test_what_ends_at_this_very_moment_is_not_yet_removed(database: Database, clock: Clock) -> None:
    async def left() -> Sequence[object]:
        async with database.reading(TENANT) as session:
            return [await session.get(Family, stored.id), *await events_before(session, None, 9)]

    async with database.transaction(TENANT) as session:
        stored = family(clock)
        await add_family(session, stored)
        add_event(session, AuditEvent(at=clock(), event="logged_in", actor="a", address="here", detail={}))
    for seconds, kept in ((0, 2), (1, 0)):
        clock.advance(seconds)
        async with database.transaction(TENANT) as session:
            await delete_families_before(session, clock())
            await delete_audit_before(session, clock())
        assert sum(each is not None for each in await left()) == kept


async def test_of_two_replicas_one_stores_a_generation_of_keys(database: Database, clock: Clock) -> None:
    for generation in (2, 1):
        async with database.transaction(TENANT) as session:
            add_key(session, SigningKey(generation=generation, kid=f"k{generation}", pem="", signs_at=clock()))
    with pytest.raises(IntegrityError):
        async with database.transaction(TENANT) as session:
            add_key(session, SigningKey(generation=2, kid="another", pem="", signs_at=clock()))
    async with database.reading(TENANT) as session:
        assert [each.kid for each in await signing_keys(session)] == ["k1", "k2"]
