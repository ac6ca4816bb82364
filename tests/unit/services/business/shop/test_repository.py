"""Orders as look-ups read them are those that actions work with, and nobody reads another customer's."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from services.business.actions.ledger import Ledger
from services.business.shop.models import Order, OrderEvent, Refund
from services.business.shop.orders import order_details
from services.business.shop.repository import newest_orders, order_numbers, order_of_customer, read_order
from shared.storage.database import Database
from tests.unit.services.business.performing import perform

Ask = Any
CUSTOMERS = ["C1001", "C1002", "C1003", "C9999", None]


async def test_look_ups_and_actions_see_the_same_order(database: Database, ledger: Ledger, ask: Ask) -> None:
    await perform(ledger, ask("refund", order_number="20261103003"))
    await perform(ledger, ask("request_invoice", order_number="20261103002", title="个人"))
    async with database.reading("default") as session:
        numbers = await order_numbers(session)
        seen = 0
        for customer in CUSTOMERS:
            for number in sorted(numbers):
                whole = await order_of_customer(session, customer, number)
                row = await database.read("default", lambda unit: read_order(unit, customer, number))  # noqa: B023 - read at once
                assert (whole is None) == (row is None)
                if whole is not None and row is not None:
                    assert order_details(row) == order_details(whole)
                    assert (row.invoice is None) == (whole.invoice is None)
                    seen += 1
    assert seen == len(numbers), "every order belongs to one customer"


async def test_of_events_and_refunds_a_look_up_reads_the_last(database: Database) -> None:
    async with database.transaction("default") as session:
        order = await session.scalar(select(Order).where(Order.number == "20261103001"))
        assert order is not None
        latest = max(event.at for event in order.events)
        for hours, words in ((2, "later"), (1, "earlier")):
            order.events.append(OrderEvent(at=latest + timedelta(hours=hours), text_zh=words, text_en=words))
        for place, status in enumerate(("rejected", "pending")):
            order.refunds.append(
                Refund(action_id=f"a{place}", amount_fen=1, reason="x", reason_code="x", status=status)
            )

    row = await database.read("default", lambda unit: read_order(unit, "C1001", "20261103001"))

    assert row is not None
    assert [event.text_en for event in row.events] == ["later"]
    assert [refund.status for refund in row.refunds] == ["pending"]


@pytest.mark.parametrize(("customer", "count"), [("C1001", 6), ("C1003", 0), ("C9999", 0)])
async def test_the_count_is_of_all_orders_however_few_are_read(database: Database, customer: str, count: int) -> None:
    rows, found = await database.read("default", lambda unit: newest_orders(unit, customer, 2))
    assert (len(rows), found) == (min(2, count), count)
