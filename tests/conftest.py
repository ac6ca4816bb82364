"""Fixtures of the tests that need the whole of Zhiyin, the order of the files, and how much is generated."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from services.learning.runs.cache import user_cache
from services.learning.runs.runs import train
from tests.budgets import Budgets
from tests.postgres import Postgres
from tests.postgres import postgres as run_postgres
from tests.stack import PROJECT, PROJECT_HOME, RunningStack

# `make test-long` takes the larger one.
hypothesis.settings.register_profile("fast", max_examples=25, deadline=None)
hypothesis.settings.register_profile("long", max_examples=500, deadline=None)
hypothesis.settings.load_profile("fast")

HERE = Path(__file__).parent
# Folders whose tests wait most come first, so that none of them is waited for in the end.
FOLDERS = ("integration", "chart", "unit", "e2e")


def pytest_configure(config: pytest.Config) -> None:
    """Reports what was slower than its budget, and where the time went."""
    # The order is random; what tests draw is not made the same from test to test.
    config.option.randomly_reset_seed = False
    config.pluginmanager.register(Budgets(), "budgets")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the folders; within one the files and tests stay shuffled.

    Files whose tests need the demo model come last: `make test` trains it while the others run.
    """
    waiting = {item.path for item in items if "trained_model" in getattr(item, "fixturenames", ())}

    def place(item: pytest.Item) -> tuple[bool, int]:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        return item.path in waiting, FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)

    items.sort(key=place)


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
