"""Waiting for news, when there is none, and when the database goes away."""

import asyncio
from pathlib import Path

import pytest

from services.learning import repository
from services.learning.models import Installation
from services.learning.publishing.following import Changes
from shared.storage.database import ALL_TENANTS, Database
from shared.storage.installation import identity_of
from shared.storage.migrations import migrate
from tests.integration.services.learning.publisher import Client, bundle_of


async def test_without_news_the_same_is_said_after_the_wait(client: Client, tmp_path: Path) -> None:
    await client.live(bundle_of(tmp_path, "hello"))
    service = client.service()
    first = await service.call("GET", "/v1/following")
    assert await service.call("GET", f"/v1/following?after={first['cursor']}&wait=0.3") == first
    # What is no cursor of this database is answered at once.
    for cursor in ("", "x", "1", first["cursor"] + "0"):
        assert await service.call("GET", f"/v1/following?after={cursor}&wait=30") == first
    for query in ("wait=31", "wait=-1", f"after={'x' * 101}"):
        await service.call("GET", f"/v1/following?{query}", 422)


@pytest.mark.parametrize("end", ["stop", "news"])
async def test_everybody_who_waits_is_woken(tmp_path: Path, url: str, end: str) -> None:
    await asyncio.to_thread(migrate, "learning", url)
    database, stopping = Database(url), asyncio.Event()
    identity = await identity_of(database, Installation)
    changes = Changes(database, identity, look_seconds=0.05, stopping=stopping)
    looking = asyncio.create_task(changes.run(lambda: None))
    cursor = (await changes.following(ALL_TENANTS, "", 0)).cursor
    try:
        waiting = [asyncio.create_task(changes.following("default", cursor, 60)) for _ in range(5)]
        if end == "stop":
            stopping.set()
        else:
            await changed_elsewhere(database)
        found = await asyncio.gather(*waiting)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await database.close()
    assert {each.cursor == cursor for each in found} == {end == "stop"}


async def changed_elsewhere(database: Database) -> None:
    async with database.transaction(ALL_TENANTS) as session:
        await repository.change(session)
