"""Learning on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.services.learning.publisher import Client, ScriptedTrainer, running
from tests.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> str:
    """A database of its own."""
    return (
        await postgres.new_database() if request.param == "postgresql" else f"sqlite:///{tmp_path / 'learning.sqlite'}"
    )


@pytest.fixture
def trainer() -> ScriptedTrainer:
    return ScriptedTrainer()


@pytest.fixture
async def client(tmp_path: Path, url: str, trainer: ScriptedTrainer) -> AsyncIterator[Client]:
    """An operator at a learning that runs."""
    async with running(tmp_path / "home", url, trainer) as client:
        yield client
