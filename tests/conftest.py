"""Fixtures of the tests that need the whole of Zhiyin."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.learning.runs.cache import user_cache
from services.learning.runs.runs import train
from tests.postgres import Postgres
from tests.postgres import postgres as run_postgres
from tests.stack import PROJECT, PROJECT_HOME, RunningStack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests need the demo model come last: `make test` trains it while the others run."""
    waiting = {item.path for item in items if "trained_model" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in waiting)


@pytest.fixture(scope="session")
def trained_model() -> Path:
    """The folder of the demo assistant's model; trained once for all clones of a user, by way of the user's cache.

    Where another process is training it, this waits.
    """
    PROJECT_HOME.prepare()
    return train(PROJECT / "assistants" / "shop", PROJECT_HOME.root, lambda _: None, cache=user_cache(os.environ)).path


@pytest.fixture(scope="session")
async def stack(trained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    """Everything, running; shared by tests that leave it as they found it."""
    async with RunningStack(tmp_path_factory.mktemp("stack"), trained_model) as running:
        yield running


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Postgres]:
    """A PostgreSQL server; each test asks it for a database of its own."""
    async with run_postgres() as running:
        yield running
