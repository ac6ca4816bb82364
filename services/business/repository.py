"""Every question to the tables; each takes a session of a unit of work that somebody else commits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.business.models import ActionRecord, Customer, DeadLetter, Order, Refund
from shared.contracts.actions import ActionResult

__all__ = [
    "count_dead_letters",
    "customer_by_number",
    "dead_letter_by_id",
    "dead_letters_after",
    "find_action",
    "is_buried",
    "mark_published",
    "order_of_customer",
    "orders_of_customer",
    "overdue_actions",
    "records_after",
    "refund_of_action",
    "unpublished_records",
]


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
