"""The demo's data: three customers and nine orders whose dates are counted back from the day of seeding."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from examples.shop import repository
from examples.shop.store import Store

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


def seed(store: Store, moment: datetime | None = None) -> int:
    """Adds what is missing of the demo's data and changes nothing that is there; how many orders were added."""
    with store.writing() as db:
        return _add(db, moment or datetime.now(UTC))


def reset(store: Store) -> int:
    """Makes the shop what it was on its first day, which is today; how many orders there are."""
    with store.writing() as db:
        repository.clear(db)
        return _add(db, datetime.now(UTC))


def _add(db: sqlite3.Connection, moment: datetime) -> int:
    for number, name_zh, name_en, phone in CUSTOMERS:
        repository.add_customer(db, number, name_zh, name_en, phone)
    return sum(_add_order(db, demo, moment) for demo in ORDERS)


def _add_order(db: sqlite3.Connection, demo: _Demo, moment: datetime) -> bool:
    def ago(days: float | None) -> str | None:
        return None if days is None else repository.stamp(moment - timedelta(days=days))

    sent = demo.shipped is not None
    row = repository.add_order(
        db,
        demo.customer,
        number=demo.number,
        status=demo.status,
        item_zh=demo.item[0],
        item_en=demo.item[1],
        amount_fen=demo.fen,
        address=demo.address,
        paid_at=ago(demo.paid),
        carrier_zh=SHUNFENG[0] if sent else None,
        carrier_en=SHUNFENG[1] if sent else None,
        tracking_number=demo.tracking if sent else None,
        shipped_at=ago(demo.shipped),
        delivered_at=ago(demo.delivered),
        cancelled_at=ago(demo.cancelled),
    )
    if row is None:
        return False
    happened = [
        (demo.paid, "已付款", "Payment received"),
        (demo.shipped, "已发货", "Handed to the carrier"),
        *demo.events,
        (demo.delivered, "已签收", "Delivered and signed for"),
        (demo.cancelled, "订单已取消", "Order cancelled"),
    ]
    for days, text_zh, text_en in happened:
        if (at := ago(days)) is not None:
            repository.add_event(db, row, at, text_zh, text_en)
    return True
