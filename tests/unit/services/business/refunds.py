"""What money went back."""

from services.business.shop.models import Refund
from services.business.shop.repository import order_of_customer
from shared.storage.database import Database

__all__ = ["refunds_of"]


async def refunds_of(database: Database, number: str) -> list[Refund]:
    """The refunds of one of the demo customer's orders."""
    async with database.reading("default") as session:
        order = await order_of_customer(session, "C1001", number)
    assert order is not None
    return order.refunds
