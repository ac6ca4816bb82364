"""Replicas of business that start together over one real PostgreSQL."""

import asyncio

from sqlalchemy import func, select

from services.business.shop.models import Customer, Order
from services.business.shop.seed import seed
from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.postgres import Postgres


async def test_the_demo_shop_is_filled_once(postgres: Postgres) -> None:
    url = await postgres.new_database()
    await asyncio.to_thread(migrate, "business", url)
    replicas = [Database(url) for _ in range(4)]
    added = await asyncio.gather(*(seed(each, "default") for each in replicas))
    assert sorted(added) == [0, 0, 0, 9]
    async with replicas[0].reading("default") as session:
        assert await session.scalar(select(func.count(Customer.id))) == 3
        assert await session.scalar(select(func.count(Order.id))) == 9
    for each in replicas:
        await each.close()
