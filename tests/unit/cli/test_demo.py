from pathlib import Path

import pytest

from cli.demo import reset
from cli.errors import CommandError
from cli.home import Home
from services.business.settings import Settings
from services.business.shop import repository
from shared.storage.database import Database


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


async def test_the_demo_is_made_and_made_again(home: Home) -> None:
    assert await reset(home) == 9
    database = Database(Settings(home=home.root).database("business"))
    async with database.transaction("default") as session:
        order = await repository.order_of_customer(session, "C1001", "20261103001")
        assert order is not None
        order.status = "cancelled"
    assert await reset(home) == 9
    async with database.reading("default") as session:
        order = await repository.order_of_customer(session, "C1001", "20261103001")
        assert order is not None
        assert order.status == "shipped"
    await database.close()


async def test_a_shop_that_is_no_demo_is_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_SEED_DEMO", "false")
    with pytest.raises(CommandError, match="no demo here to reset"):
        await reset(home)
    assert not (home.data / "business.sqlite").exists()
