"""What is claimed by whom, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.learning import repository
from services.learning.models import ReleaseRow
from shared.contracts.releases import ReleaseReport
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, "learning", url)
    database = Database(url)
    yield database
    await database.close()


async def added(database: Database, *, tenant: str = "default", whole: bool = False, assistant: str = "mini") -> str:
    row = ReleaseRow(
        assistant=assistant, bundle="b", bundle_bytes=1, state="checking", created_by="me", live=True, forced=False,
        whole=whole, tenant=tenant,
    )  # fmt: skip
    async with database.transaction(tenant) as session:
        await repository.add_release(session, row)
    return row.id


async def claimable(database: Database, *, whole: bool = False) -> list[str]:
    async with database.reading(ALL_TENANTS) as session:
        return list(await repository.claimable(session, whole=whole, moment=now(), limit=10))


async def test_releases_of_an_assistant_are_worked_on_one_after_another(database: Database) -> None:
    first, second = await added(database), await added(database)
    others = [await added(database, tenant="acme"), await added(database, assistant="bank")]
    whole = await added(database, whole=True)
    assert await claimable(database) == [first, *others]
    assert await claimable(database, whole=True) == [whole]
    async with database.transaction(ALL_TENANTS) as session:
        await repository.claim(session, first, "me", now(), now() + timedelta(hours=1))
        changed = await repository.update_release(session, first, "me", state="ready")
        assert changed is not None
        assert (changed.number, changed.state) == (1, "ready")
    assert await claimable(database) == [*others, second] or await claimable(database) == [second, *others]


async def test_only_one_of_many_claims_a_release(database: Database) -> None:
    release = await added(database)

    async def claimed(holder: str) -> bool:
        async with database.transaction(ALL_TENANTS) as session:
            until = now() + timedelta(hours=1)
            return await repository.claim(session, release, holder, now(), until) is not None

    assert sum(await asyncio.gather(*(claimed(f"replica-{number}") for number in range(8)))) == 1
    async with database.transaction(ALL_TENANTS) as session:
        assert await repository.update_release(session, release, "nobody", state="ready") is None
        assert not await repository.hold(session, release, "nobody", now())


async def test_an_instance_has_one_word_on_a_release(database: Database) -> None:
    release = await added(database)
    for loaded in (False, True):
        async with database.transaction(ALL_TENANTS) as session:
            row = await repository.find_release(session, release)
            assert row is not None
            report = ReleaseReport(service="intent", instance="i-1", loaded=loaded, reason="" if loaded else "no")
            await repository.add_report(session, row, report, now())
    async with database.reading("default") as session:
        (kept,) = await repository.reports_of(session, release)
    assert (kept.loaded, kept.reason, kept.tenant) == (True, "", "default")
