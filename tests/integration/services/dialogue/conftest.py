from collections.abc import AsyncIterator

import pytest

from tests.calls import Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import Neighbourhood, neighbourhood, new_guest


@pytest.fixture(scope="package")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Neighbourhood]:
    """Shared by tests that leave it as they found it."""
    async with neighbourhood(tmp_path_factory.mktemp("around")) as running:
        yield running


@pytest.fixture
async def calls(around: Neighbourhood) -> AsyncIterator[Calls]:
    async with calling(around.dialogue.base_url) as calls:
        yield calls


@pytest.fixture
async def guest(calls: Calls) -> Customer:
    return await new_guest(calls)
