"""A foreign system, and a company whose actions go there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.foreign.company import Company, company_on
from tests.foreign.running import Foreign
from tests.postgres import Postgres


@pytest.fixture(scope="package")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Foreign]:
    """The foreign system, which keeps what it has done."""
    foreign = Foreign(tmp_path_factory.mktemp("foreign"))
    await foreign.start()
    yield foreign
    await foreign.kill()


@pytest.fixture
async def company(tmp_path: Path, running: Foreign) -> AsyncIterator[Company]:
    """A company with an empty ledger in SQLite."""
    async with company_on(f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}", running) as company:
        yield company


@pytest.fixture(params=["sqlite", "postgresql"])
async def on_both(
    request: pytest.FixtureRequest, tmp_path: Path, running: Foreign, postgres: Postgres
) -> AsyncIterator[Company]:
    """The same on each kind of database."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    async with company_on(url, running) as company:
        yield company
