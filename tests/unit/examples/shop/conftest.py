"""A shop of its own for every test, with the demo's customers and orders."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from examples.shop.app import create_app
from examples.shop.seed import seed
from examples.shop.settings import Settings
from examples.shop.store import Store
from tests.calls import Calls, calling
from tests.servers import serve
from tests.shop import KEY


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's data, to be copied."""
    folder = tmp_path_factory.mktemp("shop")
    store = Store(folder)
    seed(store)
    store.close()
    return folder


@pytest.fixture
def folder(seeded: Path, tmp_path: Path) -> Path:
    """The folder of this test's shop."""
    return shutil.copytree(seeded, tmp_path / "shop")


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """Its database."""
    store = Store(folder)
    yield store
    store.close()


@pytest.fixture
async def calls(folder: Path) -> AsyncIterator[Calls]:
    """Calls to it over HTTP; `PUT /faults` is there."""
    app = create_app(Settings(api_key=KEY, data=folder, seed=False, faults=True, most_complaints=2))
    async with serve(app) as server, calling(server.base_url) as calls:
        yield calls
