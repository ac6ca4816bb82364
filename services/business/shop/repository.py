"""The demo shop's queries; their callers commit.

Look-ups, which a conversation waits for, take a `Unit` of prepared statements and give frozen records; everything
else takes a session.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.business.shop.models import Customer, Invoice, Order, OrderEvent, Refund, Shipment, Ticket
from shared.storage.statements import Statement, Unit, table_of

__all__ = [
    "EventRow",
    "InvoiceRow",
    "OrderRow",
    "RefundRequestRow",
    "RefundRow",
    "ShipmentRow",
    "TicketRow",
    "add_customers",
    "add_invoice",
    "add_orders",
    "add_ticket",
    "clear",
    "count_open_tickets",
    "customer_by_number",
    "customer_exists",
    "customers_by_number",
    "newest_orders",
    "order_numbers",
    "order_of_customer",
    "read_order",
    "refund_action",
    "refund_of_action",
    "refund_request",
    "refund_requests",
    "ticket_of_customer",
    "ticket_request",
    "ticket_requests",
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


@dataclass(frozen=True, slots=True)
class RefundRequestRow:
    """A refund with what it is about."""

    id: int
    status: str
    amount_fen: int
    reason: str
    created_at: datetime
    withdrawn_at: datetime | None
    number: str
    item_zh: str
    item_en: str
    currency: str


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A complaint."""

    id: int
    subject: str
    status: str
    created_at: datetime


def _part(row: type[Any], table: Table) -> Select[Any]:
    """What belongs to one order, the last first."""
    columns = [table.c[each.name] for each in fields(row)]
    return select(*columns).where(table.c.order_id == bindparam("order")).order_by(table.c.id.desc()).limit(1)


CUSTOMERS, ORDERS, EVENTS = table_of(Customer), table_of(Order), table_of(OrderEvent)

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
REFUNDS, TICKETS = table_of(Refund), table_of(Ticket)
_own_refunds = (
    select(
        *(REFUNDS.c[each.name] if each.name in REFUNDS.c else ORDERS.c[each.name] for each in fields(RefundRequestRow))
    )
    .join(ORDERS, ORDERS.c.id == REFUNDS.c.order_id)
    .join(CUSTOMERS, CUSTOMERS.c.id == ORDERS.c.customer_id)
    .where(CUSTOMERS.c.number == bindparam("customer"))
)
_own_tickets = (
    select(*(TICKETS.c[each.name] for each in fields(TicketRow)))
    .join(CUSTOMERS, CUSTOMERS.c.id == TICKETS.c.customer_id)
    .where(CUSTOMERS.c.number == bindparam("customer"))
)
NEWEST_REFUNDS = Statement(_own_refunds.order_by(REFUNDS.c.id.desc()).limit(bindparam("most")))
READ_REFUND = Statement(_own_refunds.where(REFUNDS.c.id == bindparam("id")))
NEWEST_TICKETS = Statement(_own_tickets.order_by(TICKETS.c.id.desc()).limit(bindparam("most")))
READ_TICKET = Statement(_own_tickets.where(TICKETS.c.id == bindparam("id")))
READ_SHIPMENT = Statement(_part(ShipmentRow, table_of(Shipment)))
READ_LAST_EVENT = Statement(_part(EventRow, EVENTS).order_by(None).order_by(EVENTS.c.at.desc(), EVENTS.c.id.desc()))
READ_LAST_REFUND = Statement(_part(RefundRow, table_of(Refund)))
READ_INVOICE = Statement(_part(InvoiceRow, table_of(Invoice)))


def customer_exists(unit: Unit, number: str) -> bool:
    """Whether there is a customer with this number."""
    return unit.row(CUSTOMER_EXISTS, customer=number) is not None


def read_order(unit: Unit, customer: str | None, number: str) -> OrderRow | None:
    """The order with a number if it is this customer's; another customer's is answered as one that does not exist."""
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


def refund_requests(unit: Unit, customer: str, limit: int) -> list[RefundRequestRow]:
    """A customer's refunds, the newest first."""
    return [RefundRequestRow(*row) for row in unit.rows(NEWEST_REFUNDS, customer=customer, most=limit)]


def refund_request(unit: Unit, customer: str, id: int) -> RefundRequestRow | None:
    """One of the customer's refunds."""
    row = unit.row(READ_REFUND, customer=customer, id=id)
    return None if row is None else RefundRequestRow(*row)


def ticket_requests(unit: Unit, customer: str, limit: int) -> list[TicketRow]:
    """A customer's complaints, the newest first."""
    return [TicketRow(*row) for row in unit.rows(NEWEST_TICKETS, customer=customer, most=limit)]


def ticket_request(unit: Unit, customer: str, id: int) -> TicketRow | None:
    """One of the customer's complaints."""
    row = unit.row(READ_TICKET, customer=customer, id=id)
    return None if row is None else TicketRow(*row)


async def customer_by_number(session: AsyncSession, number: str | None, *, lock: bool = False) -> Customer | None:
    """The customer with a number.

    Args:
        lock: what is counted of theirs stays so until the unit of work ends, for all who lock them.
    """
    if number is None:
        return None
    query = select(Customer).where(Customer.number == number)
    return await session.scalar(query.with_for_update() if lock else query)


async def count_open_tickets(session: AsyncSession, customer: Customer | None, conversation_id: str) -> int:
    """How many complaints of a customer are open; of somebody who is no customer, those of the conversation."""
    query = select(func.count(Ticket.id)).where(Ticket.status == "open")
    if customer is None:
        query = query.where(Ticket.customer_id.is_(None), Ticket.conversation_id == conversation_id)
    else:
        query = query.where(Ticket.customer_id == customer.id)
    return await session.scalar(query) or 0


async def order_of_customer(
    session: AsyncSession, customer: str | None, number: str, *, lock: bool = False
) -> Order | None:
    """The order with a number if it is this customer's; another customer's is answered as one that does not exist.

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


async def refund_action(session: AsyncSession, customer: str | None, id: int) -> str | None:
    """The id of the action that asked for one of the customer's refunds."""
    query = (
        select(Refund.action_id)
        .join(Order, Order.id == Refund.order_id)
        .join(Customer, Customer.id == Order.customer_id)
        .where(Refund.id == id, Customer.number == customer)
    )
    return None if customer is None else await session.scalar(query)


async def ticket_of_customer(session: AsyncSession, customer: str | None, id: int) -> Ticket | None:
    """One of the customer's complaints, held until the unit of work ends."""
    query = select(Ticket).join(Customer, Customer.id == Ticket.customer_id)
    query = query.where(Ticket.id == id, Customer.number == customer).with_for_update(of=Ticket)
    return None if customer is None else await session.scalar(query)


async def add_invoice(session: AsyncSession, order: Order, invoice: Invoice) -> None:
    """Give an order its invoice, which then has its number."""
    order.invoice = invoice
    await session.flush()


async def add_ticket(session: AsyncSession, ticket: Ticket) -> None:
    """Store a ticket, which then has its number."""
    session.add(ticket)
    await session.flush()


async def customers_by_number(session: AsyncSession) -> dict[str, Customer]:
    """All customers."""
    return {row.number: row for row in await session.scalars(select(Customer))}


async def add_customers(session: AsyncSession, customers: Iterable[Customer]) -> None:
    """Store customers, which then have their ids."""
    session.add_all(customers)
    await session.flush()


async def order_numbers(session: AsyncSession) -> set[str]:
    """The numbers of all orders."""
    return set(await session.scalars(select(Order.number)))


async def add_orders(session: AsyncSession, orders: Iterable[Order]) -> None:
    """Store orders with what belongs to them."""
    session.add_all(orders)
    await session.flush()


async def clear(session: AsyncSession) -> None:
    """Delete everything but the customers."""
    for rows in (Ticket, Invoice, Refund, OrderEvent, Shipment, Order):
        await session.execute(delete(rows))
