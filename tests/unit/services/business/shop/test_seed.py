from datetime import timedelta

from sqlalchemy import func, select

from services.business.shop import repository
from services.business.shop.models import Customer, Invoice, Order, Refund, Ticket
from services.business.shop.seed import reset, seed
from shared.storage.database import Database, now


async def count(database: Database, tenant: str) -> tuple[int, int]:
    async with database.reading(tenant) as session:
        customers = await session.scalar(select(func.count(Customer.id)))
        return customers or 0, await session.scalar(select(func.count(Order.id))) or 0


async def test_seeding_again_adds_nothing_and_changes_nothing(database: Database) -> None:
    async with database.transaction("default") as session:
        order = await repository.order_of_customer(session, "C1001", "20261103002")
        assert order is not None
        order.address = "somewhere else"

    assert await seed(database, "default") == 0

    assert await count(database, "default") == (3, 9)
    async with database.reading("default") as session:
        order = await repository.order_of_customer(session, "C1001", "20261103002")
        assert order is not None
        assert order.address == "somewhere else"


async def test_what_is_missing_is_added(database: Database) -> None:
    async with database.transaction("default") as session:
        order = await repository.order_of_customer(session, "C1001", "20261103002")
        assert order is not None
        for event in order.events:
            await session.delete(event)
        await session.delete(order)

    assert await seed(database, "default") == 1
    assert await count(database, "default") == (3, 9)


async def test_every_tenant_has_its_own_shop(database: Database) -> None:
    assert await count(database, "other") == (0, 0)

    assert await seed(database, "other") == 9

    assert await count(database, "other") == (3, 9)
    assert await count(database, "default") == (3, 9)


async def test_a_reset_makes_one_tenants_shop_what_it_was_on_its_first_day(database: Database) -> None:
    await seed(database, "other")
    for tenant in ("default", "other"):
        async with database.transaction(tenant) as session:
            order = await repository.order_of_customer(session, "C1001", "20261103003")
            assert order is not None
            order.status, order.address = "refunded", "somewhere else"
            order.refunds.append(Refund(action_id="a1", amount_fen=1, reason="x", reason_code="x", status="done"))
            await repository.add_invoice(session, order, Invoice(action_id="a2", title="x", amount_fen=1))
            ticket = Ticket(order_id=order.id, conversation_id="c1", action_id="a3", subject="x")
            await repository.add_ticket(session, ticket)

    assert await reset(database, "default") == 9

    found = {}
    for tenant in ("default", "other"):
        async with database.reading(tenant) as session:
            order = await repository.order_of_customer(session, "C1001", "20261103003")
            assert order is not None
            found[tenant] = order.status, order.address, len(order.refunds), order.invoice is not None
    assert found["default"] == ("delivered", "上海市浦东新区世纪大道100号", 0, False)
    assert found["other"] == ("refunded", "somewhere else", 1, True)
    assert await count(database, "default") == (3, 9)


async def test_dates_are_counted_back_from_the_day_of_seeding(database: Database) -> None:
    moment = now() + timedelta(days=400)
    await seed(database, "later", moment)

    async with database.reading("later") as session:
        delivered = await repository.order_of_customer(session, "C1001", "20261103003")
        shipped = await repository.order_of_customer(session, "C1001", "20261103001")
    assert delivered is not None
    assert delivered.shipment is not None
    assert delivered.shipment.delivered_at == moment - timedelta(days=3)
    assert shipped is not None
    assert shipped.shipment is not None
    assert shipped.shipment.tracking_number == "SF1234567890"
    assert shipped.events[-1].text_zh == "已到达上海转运中心"
    assert [event.at for event in shipped.events] == sorted(event.at for event in shipped.events)
