"""The demo shop's queries; each takes a session of a unit of work that its caller commits."""

from collections.abc import Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.business.shop.models import Customer, Invoice, Order, Refund, Ticket

__all__ = [
    "add_customers",
    "add_invoice",
    "add_orders",
    "add_ticket",
    "customer_by_number",
    "customers_by_number",
    "order_numbers",
    "order_of_customer",
    "orders_of_customer",
    "refund_of_action",
]


async def customer_by_number(session: AsyncSession, number: str | None) -> Customer | None:
    """The customer with a number."""
    if number is None:
        return None
    return await session.scalar(select(Customer).where(Customer.number == number))


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


async def orders_of_customer(session: AsyncSession, customer: str, limit: int) -> tuple[Sequence[Order], int]:
    """A customer's newest orders, and how many there are in all."""
    theirs = (Customer.id == Order.customer_id) & (Customer.number == customer)
    count = await session.scalar(select(func.count(Order.id)).join(Customer, theirs))
    newest = select(Order).join(Customer, theirs).order_by(Order.paid_at.desc(), Order.id.desc()).limit(limit)
    return (await session.scalars(newest)).all(), count or 0


async def refund_of_action(session: AsyncSession, action_id: str) -> tuple[Refund, Order] | None:
    """The refund that an action asked for, with its order, both held until the unit of work ends."""
    query = select(Refund, Order).join(Order, Order.id == Refund.order_id).where(Refund.action_id == action_id)
    row = (await session.execute(query.with_for_update())).one_or_none()
    return None if row is None else (row[0], row[1])


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
