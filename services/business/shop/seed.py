"""The demo shop: three customers and nine orders whose dates are counted back from the day of seeding."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError

from services.business.shop import repository
from services.business.shop.models import Customer, Order, OrderEvent, Shipment
from shared.storage.database import Database, now

__all__ = ["reset", "seed"]

SHUNFENG = ("顺丰速运", "SF Express")


@dataclass(frozen=True, kw_only=True)
class _Demo:
    """An order; times are days ago."""

    number: str
    customer: str
    status: str
    item: tuple[str, str]
    fen: int
    paid: float
    address: str
    shipped: float | None = None
    delivered: float | None = None
    cancelled: float | None = None
    tracking: str = ""
    events: tuple[tuple[float, str, str], ...] = ()


CUSTOMERS = (
    ("C1001", "李雷", "Li Lei", "13800000001"),
    ("C1002", "韩梅梅", "Han Meimei", "13800000002"),
    ("C1003", "王小明", "Wang Xiaoming", "13800000003"),
)

LI_LEI = "上海市浦东新区世纪大道100号"
HAN_MEIMEI = "北京市朝阳区建国路88号3单元502室"

ORDERS = (
    _Demo(
        number="20261103001",
        customer="C1001",
        status="shipped",
        item=("蓝牙耳机", "Bluetooth earphones"),
        fen=299_00,
        paid=2,
        address=LI_LEI,
        shipped=1.5,
        tracking="SF1234567890",
        events=((0.3, "已到达上海转运中心", "Arrived at the Shanghai transit centre"),),
    ),
    _Demo(
        number="20261103002",
        customer="C1001",
        status="paid",
        item=("保温杯", "thermos cup"),
        fen=159_00,
        paid=1,
        address=LI_LEI,
    ),
    _Demo(
        number="20261103003",
        customer="C1001",
        status="delivered",
        item=("T恤", "T-shirt"),
        fen=89_90,
        paid=6,
        address=LI_LEI,
        shipped=5,
        delivered=3,
        tracking="SF1234567891",
    ),
    _Demo(
        number="20261103004",
        customer="C1001",
        status="delivered",
        item=("机械键盘", "mechanical keyboard"),
        fen=1299_00,
        paid=6.5,
        address=LI_LEI,
        shipped=5,
        delivered=3,
        tracking="SF1234567892",
    ),
    _Demo(
        number="20261103005",
        customer="C1001",
        status="delivered",
        item=("双肩包", "backpack"),
        fen=259_00,
        paid=24,
        address=LI_LEI,
        shipped=23,
        delivered=20,
        tracking="SF1234567893",
    ),
    _Demo(
        number="20261103006",
        customer="C1001",
        status="cancelled",
        item=("台灯", "desk lamp"),
        fen=129_00,
        paid=30,
        address=LI_LEI,
        cancelled=29.5,
    ),
    _Demo(
        number="20261104001",
        customer="C1002",
        status="shipped",
        item=("运动鞋", "running shoes"),
        fen=459_00,
        paid=2,
        address=HAN_MEIMEI,
        shipped=1,
        tracking="SF2234567890",
        events=((0.5, "已到达北京转运中心", "Arrived at the Beijing transit centre"),),
    ),
    _Demo(
        number="20261104002",
        customer="C1002",
        status="delivered",
        item=("笔记本", "notebook"),
        fen=66_00,
        paid=4,
        address=HAN_MEIMEI,
        shipped=3,
        delivered=1,
        tracking="SF2234567891",
    ),
    _Demo(
        number="20261104003",
        customer="C1002",
        status="paid",
        item=("雨伞", "umbrella"),
        fen=88_00,
        paid=0.5,
        address=HAN_MEIMEI,
    ),
)


async def seed(database: Database, tenant: str, moment: datetime | None = None) -> int:
    """Adds what is missing of the demo data and changes nothing that is there; how many orders were added."""
    moment = moment or now()
    try:
        return await _add(database, tenant, moment)
    except IntegrityError:
        # Another replica that started at the same moment was faster: now what it added is there to be found.
        return await _add(database, tenant, moment)


async def reset(database: Database, tenant: str) -> int:
    """Makes the demo shop what it was on its first day, which is today; how many orders there are.

    What was refunded, changed, invoiced and complained about is gone; actions stay in the ledger.
    """
    async with database.transaction(tenant) as session:
        await repository.clear(session)
    return await seed(database, tenant)


async def _add(database: Database, tenant: str, moment: datetime) -> int:
    async with database.transaction(tenant) as session:
        customers = await repository.customers_by_number(session)
        for number, name_zh, name_en, phone in CUSTOMERS:
            if number not in customers:
                customers[number] = Customer(number=number, name_zh=name_zh, name_en=name_en, phone=phone)
        await repository.add_customers(session, customers.values())
        known = await repository.order_numbers(session)
        missing = [demo for demo in ORDERS if demo.number not in known]
        orders = [_order(demo, customers[demo.customer].id, moment) for demo in missing]
        await repository.add_orders(session, orders)
    return len(missing)


def _order(demo: _Demo, customer_id: int, moment: datetime) -> Order:
    def ago(days: float) -> datetime:
        return moment - timedelta(days=days)

    happened = [(demo.paid, "已付款", "Payment received")]
    if demo.shipped is not None:
        happened.append((demo.shipped, "已发货", "Handed to the carrier"))
    happened.extend(demo.events)
    if demo.delivered is not None:
        happened.append((demo.delivered, "已签收", "Delivered and signed for"))
    if demo.cancelled is not None:
        happened.append((demo.cancelled, "订单已取消", "Order cancelled"))
    order = Order(
        number=demo.number,
        customer_id=customer_id,
        status=demo.status,
        item_zh=demo.item[0],
        item_en=demo.item[1],
        amount_fen=demo.fen,
        currency="CNY",
        address=demo.address,
        paid_at=ago(demo.paid),
        cancelled_at=None if demo.cancelled is None else ago(demo.cancelled),
        events=[OrderEvent(at=ago(days), text_zh=zh, text_en=en) for days, zh, en in happened],
    )
    if demo.shipped is not None:
        order.shipment = Shipment(
            carrier_zh=SHUNFENG[0],
            carrier_en=SHUNFENG[1],
            tracking_number=demo.tracking,
            shipped_at=ago(demo.shipped),
            delivered_at=None if demo.delivered is None else ago(demo.delivered),
        )
    return order
