"""Every question to the tables; callers commit.

Look-ups, which a conversation waits for, take a `Unit` of prepared statements and give frozen records; everything
else takes a session.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.business.models import ActionRecord, Customer, DeadLetter, Invoice, Order, OrderEvent, Refund, Shipment
from shared.contracts.actions import ActionResult
from shared.storage.statements import Statement, Unit

__all__ = [
    "EventRow",
    "InvoiceRow",
    "OrderRow",
    "RefundRow",
    "ShipmentRow",
    "count_dead_letters",
    "customer_by_number",
    "customer_exists",
    "dead_letter_by_id",
    "dead_letters_after",
    "find_action",
    "is_buried",
    "mark_published",
    "newest_orders",
    "order_of_customer",
    "overdue_actions",
    "read_order",
    "records_after",
    "refund_of_action",
    "unpublished_records",
]


@dataclass(frozen=True, slots=True)
class ShipmentRow:
    """The parcel of an order; the names are the table's columns, here and below."""

    carrier_zh: str
    carrier_en: str
    tracking_number: str
    shipped_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to an order."""

    at: datetime
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True)
class RefundRow:
    """A refund of an order."""

    status: str


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """The invoice of an order."""

    id: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as look-ups read it; of its events and refunds only the last one."""

    id: int
    number: str
    status: str
    item_zh: str
    item_en: str
    amount_fen: int
    currency: str
    address: str
    paid_at: datetime
    shipment: ShipmentRow | None = None
    events: tuple[EventRow, ...] = ()
    refunds: tuple[RefundRow, ...] = ()
    invoice: InvoiceRow | None = None


def _table(model: type[Any]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


def _part(row: type[Any], table: Table) -> Select[Any]:
    """What belongs to one order, the last first."""
    columns = [table.c[each.name] for each in fields(row)]
    return select(*columns).where(table.c.order_id == bindparam("order")).order_by(table.c.id.desc()).limit(1)


CUSTOMERS, ORDERS, EVENTS = _table(Customer), _table(Order), _table(OrderEvent)

_own_orders = (
    select(*(ORDERS.c[each.name] for each in fields(OrderRow) if each.name in ORDERS.c))
    .join(CUSTOMERS, CUSTOMERS.c.id == ORDERS.c.customer_id)
    .where(CUSTOMERS.c.number == bindparam("customer"))
)
CUSTOMER_EXISTS = Statement(select(CUSTOMERS.c.id).where(CUSTOMERS.c.number == bindparam("customer")))
READ_ORDER = Statement(_own_orders.where(ORDERS.c.number == bindparam("order_number")))
NEWEST_ORDERS = Statement(_own_orders.order_by(ORDERS.c.paid_at.desc(), ORDERS.c.id.desc()).limit(bindparam("most")))
COUNT_ORDERS = Statement(
    select(func.count(ORDERS.c.id))
    .join(CUSTOMERS, CUSTOMERS.c.id == ORDERS.c.customer_id)
    .where(CUSTOMERS.c.number == bindparam("customer"))
)
READ_SHIPMENT = Statement(_part(ShipmentRow, _table(Shipment)))
READ_LAST_EVENT = Statement(_part(EventRow, EVENTS).order_by(None).order_by(EVENTS.c.at.desc(), EVENTS.c.id.desc()))
READ_LAST_REFUND = Statement(_part(RefundRow, _table(Refund)))
READ_INVOICE = Statement(_part(InvoiceRow, _table(Invoice)))


def customer_exists(unit: Unit, number: str) -> bool:
    """Whether there is a customer with this number."""
    return unit.row(CUSTOMER_EXISTS, customer=number) is not None


def read_order(unit: Unit, customer: str | None, number: str) -> OrderRow | None:
    """The order with a number if it is this customer's; nobody else's can be told from one that does not exist."""
    found = None if customer is None else unit.row(READ_ORDER, customer=customer, order_number=number)
    if found is None:
        return None
    shipment = unit.row(READ_SHIPMENT, order=found[0])
    event = unit.row(READ_LAST_EVENT, order=found[0])
    refund = unit.row(READ_LAST_REFUND, order=found[0])
    invoice = unit.row(READ_INVOICE, order=found[0])
    return replace(
        OrderRow(*found),
        shipment=None if shipment is None else ShipmentRow(*shipment),
        events=() if event is None else (EventRow(*event),),
        refunds=() if refund is None else (RefundRow(*refund),),
        invoice=None if invoice is None else InvoiceRow(*invoice),
    )


def newest_orders(unit: Unit, customer: str, limit: int) -> tuple[list[OrderRow], int]:
    """A customer's newest orders without their parts, and how many there are in all."""
    count = unit.row(COUNT_ORDERS, customer=customer)
    rows = unit.rows(NEWEST_ORDERS, customer=customer, most=limit)
    return [OrderRow(*row) for row in rows], 0 if count is None else count[0]


async def customer_by_number(session: AsyncSession, number: str | None) -> Customer | None:
    """The customer with a number."""
    if number is None:
        return None
    return await session.scalar(select(Customer).where(Customer.number == number))


async def order_of_customer(
    session: AsyncSession, customer: str | None, number: str, *, lock: bool = False
) -> Order | None:
    """The order with a number if it is this customer's; nobody else's can be told from one that does not exist.

    Args:
        lock: nobody else may change the order until the unit of work ends.
    """
    if customer is None:
        return None
    query = (
        select(Order)
        .join(Customer, Customer.id == Order.customer_id)
        .where(Order.number == number, Customer.number == customer)
    )
    return await session.scalar(query.with_for_update(of=Order) if lock else query)


async def refund_of_action(session: AsyncSession, action_id: str) -> tuple[Refund, Order] | None:
    """The refund that an action asked for, with its order, both held until the unit of work ends."""
    query = select(Refund, Order).join(Order, Order.id == Refund.order_id).where(Refund.action_id == action_id)
    row = (await session.execute(query.with_for_update())).one_or_none()
    return None if row is None else (row[0], row[1])


async def find_action(session: AsyncSession, action_id: str, *, lock: bool = False) -> ActionRecord | None:
    """An action's row in the ledger."""
    query = select(ActionRecord).where(ActionRecord.action_id == action_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def records_after(session: AsyncSession, status: str, after: int, limit: int) -> Sequence[ActionRecord]:
    """Actions in a status, oldest first, from behind a row's id."""
    query = select(ActionRecord).where(ActionRecord.status == status, ActionRecord.id > after)
    return (await session.scalars(query.order_by(ActionRecord.id).limit(limit))).all()


async def unpublished_records(session: AsyncSession, limit: int) -> Sequence[ActionRecord]:
    """Actions with a result that nobody was told yet, oldest first."""
    query = select(ActionRecord).where(ActionRecord.published_version < ActionRecord.result_version)
    return (await session.scalars(query.order_by(ActionRecord.id).limit(limit))).all()


async def mark_published(session: AsyncSession, result: ActionResult) -> None:
    """Remembers that a version of a result is on its queue."""
    await session.execute(
        update(ActionRecord)
        .where(
            ActionRecord.tenant == result.tenant,
            ActionRecord.action_id == result.action_id,
            ActionRecord.published_version < result.version,
        )
        .values(published_version=result.version)
        .execution_options(synchronize_session=False)
    )


async def overdue_actions(session: AsyncSession, moment: datetime, limit: int) -> Sequence[ActionRecord]:
    """Actions that were begun and should have been finished before a moment."""
    query = select(ActionRecord).where(ActionRecord.resend_at.is_not(None), ActionRecord.resend_at <= moment)
    return (await session.scalars(query.order_by(ActionRecord.resend_at).limit(limit))).all()


async def dead_letters_after(session: AsyncSession, after: int, limit: int) -> Sequence[DeadLetter]:
    """Dead letters, oldest first, from behind an id."""
    query = select(DeadLetter).where(DeadLetter.id > after).order_by(DeadLetter.id).limit(limit)
    return (await session.scalars(query)).all()


async def dead_letter_by_id(session: AsyncSession, letter_id: int) -> DeadLetter | None:
    """One dead letter, held until the unit of work ends."""
    return await session.scalar(select(DeadLetter).where(DeadLetter.id == letter_id).with_for_update())


async def count_dead_letters(session: AsyncSession) -> int:
    """How many dead letters nobody has tried again."""
    query = select(func.count()).select_from(DeadLetter).where(DeadLetter.retried_at.is_(None))
    return await session.scalar(query) or 0


async def is_buried(session: AsyncSession, action_id: str) -> bool:
    """Whether there is a dead letter about an action."""
    return await session.scalar(select(DeadLetter.id).where(DeadLetter.action_id == action_id).limit(1)) is not None
