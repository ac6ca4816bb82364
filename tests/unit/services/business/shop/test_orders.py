from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.business.rules.facts import OrderStatus
from services.business.shop.orders import amount_in_yuan, facts_of, order_details, order_line
from services.business.shop.repository import EventRow, InvoiceRow, OrderRow, RefundRow, ShipmentRow

PAID = datetime(2026, 11, 1, 9, 30, 15, 999_999, tzinfo=UTC)


def order(**changes: Any) -> OrderRow:
    usual: dict[str, Any] = {
        "id": 1,
        "number": "20261103001",
        "status": "paid",
        "item_zh": "T恤",
        "item_en": "T-shirt",
        "amount_fen": 8990,
        "currency": "CNY",
        "address": "上海市",
        "paid_at": PAID,
    }
    return OrderRow(**usual | changes)


def shipment(delivered_at: datetime | None) -> ShipmentRow:
    return ShipmentRow(
        carrier_zh="顺丰速运",
        carrier_en="SF Express",
        tracking_number="SF1",
        shipped_at=PAID + timedelta(days=1),
        delivered_at=delivered_at,
    )


@given(st.integers(min_value=0, max_value=10**11))
def test_money_is_written_to_the_fen(fen: int) -> None:
    yuan, rest = divmod(fen, 100)
    assert f"{amount_in_yuan(fen):.2f}" == f"{yuan}.{rest:02d}"


@pytest.mark.parametrize(
    ("parcel", "days"),
    [(None, 9), (shipment(None), 9), (shipment(PAID + timedelta(days=3)), 6)],
    ids=["not sent", "on its way", "delivered"],
)
def test_the_days_to_return_something_count_from_its_delivery_or_else_from_the_payment(
    parcel: ShipmentRow | None, days: int
) -> None:
    facts = facts_of(order(shipment=parcel), PAID + timedelta(days=9, hours=1))
    assert (facts.days, facts.amount) == (days, Decimal("89.90"))


def test_the_rules_see_the_last_refund_and_whether_there_is_an_invoice() -> None:
    bare = facts_of(order(), PAID)
    assert (bare.refund_status, bare.invoice_status) == ("none", "none")
    much = facts_of(order(refunds=(RefundRow("rejected"), RefundRow("pending")), invoice=InvoiceRow(1)), PAID)
    assert (much.refund_status, much.invoice_status) == ("pending", "issued")


@pytest.mark.parametrize("status", get_args(OrderStatus))
def test_every_status_has_its_words_in_both_languages(status: str) -> None:
    line = order_line(order(status=status))
    assert line["status"] == status
    assert all(line["status_text"][language] for language in ("zh", "en"))


def test_an_order_that_was_not_sent_says_nothing_about_a_parcel() -> None:
    details = order_details(order())
    assert details["paid_at"] == "2026-11-01T09:30:15Z"
    gone = ("shipped_at", "delivered_at", "carrier", "tracking_number", "last_event")
    assert {details[each] for each in gone} == {None}
    assert details["refund_status"] == "none"


def test_an_order_tells_its_last_event() -> None:
    events = (EventRow(PAID, "已付款", "Paid"), EventRow(PAID + timedelta(hours=2), "已发货", "Sent"))
    details = order_details(order(events=events, shipment=shipment(None)))
    assert details["last_event"] == {"zh": "已发货", "en": "Sent", "at": "2026-11-01T11:30:15Z"}
    assert (details["carrier"]["en"], details["delivered_at"]) == ("SF Express", None)
