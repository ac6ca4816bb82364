"""The identity of an installation is made once, whoever asks first."""

import asyncio
from pathlib import Path

import pytest

from services.business.models import Installation
from shared.storage.database import Database
from shared.storage.installation import identity_of
from shared.storage.migrations import migrate
from tests.postgres import Postgres


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_replicas_that_start_at_once_have_one_identity(kind: str, tmp_path: Path, postgres: Postgres) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    if kind == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "business", url)
    replicas = [Database(url) for _ in range(4)]
    try:
        identities = await asyncio.gather(*(identity_of(replica, Installation) for replica in replicas))
        assert len(set(identities)) == 1
        assert len(identities[0]) == 32
        assert await identity_of(replicas[0], Installation) == identities[0]
    finally:
        for replica in replicas:
            await replica.close()
