"""Fixtures of the tests that need the whole of Zhiyin, the order of the files, and how much is generated."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from tests import demo
from tests.budgets import Budgets
from tests.postgres import Postgres
from tests.postgres import postgres as run_postgres
from tests.stack import RunningStack

# Threads that wait by spinning take the cores that other tests need. It counts when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Settings without an environment are those of production; services inside of tests are for development.
os.environ["ZHIYIN_ENVIRONMENT"] = "development"

# `make test-long` takes the larger one.
hypothesis.settings.register_profile("fast", max_examples=25, deadline=None)
hypothesis.settings.register_profile("long", max_examples=500, deadline=None)
hypothesis.settings.load_profile("fast")

HERE = Path(__file__).parent
# Folders whose tests wait most come first, so that none of them is waited for in the end.
FOLDERS = ("integration", "chart", "unit", "e2e")
MODELS = ("demo_model", "whole_model")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--whole-model`: tests of the demo's model get the one that `zhiyin train` makes, not the first one."""
    parser.addoption("--whole-model", action="store_true", help="hold the demo's tests on its wholly trained model")


def pytest_configure(config: pytest.Config) -> None:
    """Reports what was slower than its budget, and where the time went."""
    # The order is random; what tests draw is not made the same from test to test.
    config.option.randomly_reset_seed = False
    config.pluginmanager.register(Budgets(), "budgets")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the folders; within one the files and tests stay shuffled.

    Files whose tests need a model of the demo come last: it is made while the others run.
    """
    waiting = {item.path for item in items if not set(MODELS).isdisjoint(getattr(item, "fixturenames", ()))}

    def place(item: pytest.Item) -> tuple[bool, int]:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        return item.path in waiting, FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)

    items.sort(key=place)


@pytest.fixture(scope="session")
def whole_model() -> Path:
    """The folder of the demo's model as `zhiyin train` makes it, in minutes; for tests of its quality alone."""
    return demo.whole_model()


@pytest.fixture(scope="session")
def demo_model(request: pytest.FixtureRequest) -> Path:
    """The folder of the demo's first model, or of the whole one with `--whole-model`."""
    return demo.whole_model() if request.config.getoption("--whole-model") else demo.first_model()


@pytest.fixture(scope="session")
async def stack(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    """Everything, running; shared by tests that leave it as they found it."""
    async with RunningStack(tmp_path_factory.mktemp("stack"), demo_model) as running:
        yield running


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Postgres]:
    """A PostgreSQL server; each test asks it for a database of its own."""
    async with run_postgres() as running:
        yield running
