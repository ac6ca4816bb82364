"""Rows as what the shop answers."""

import sqlite3

from examples.shop.addresses import address_problem, normal_address
from examples.shop.bodies import AddressAnswer, Case, InvoiceCheck, Order, OrderEvent, Text
from examples.shop.tax_id import invoice_problem

__all__ = ["address_answer", "case_number", "case_view", "invoice_check", "order_view", "parse_case_number"]

LETTERS = {"R": "refund", "T": "complaint"}
MOST_DIGITS = 9
LONGEST_SUMMARY = 30

ORDER_STATUS = {
    "paid": Text(zh="已付款，待发货", en="paid, not shipped yet"),
    "shipped": Text(zh="已发货，运输中", en="shipped, on its way"),
    "delivered": Text(zh="已送达", en="delivered"),
    "cancelled": Text(zh="已取消", en="cancelled"),
    "refunded": Text(zh="已退款", en="refunded"),
}
CASE_STATUS = {
    "done": Text(zh="已退款，款项已原路退回", en="done, the money went back to the way you paid"),
    "open": Text(zh="已登记，等待专人处理", en="filed, waiting for somebody to look into it"),
    "withdrawn": Text(zh="已由您撤回", en="withdrawn by you"),
}


def order_view(row: sqlite3.Row) -> Order:
    """An order."""
    carrier = None if row["carrier_zh"] is None else Text(zh=row["carrier_zh"], en=row["carrier_en"])
    last = None if row["last_at"] is None else OrderEvent(zh=row["last_zh"], en=row["last_en"], at=row["last_at"])
    return Order(
        number=row["number"],
        status=row["status"],
        status_text=ORDER_STATUS[row["status"]],
        item=Text(zh=row["item_zh"], en=row["item_en"]),
        amount_fen=row["amount_fen"],
        currency=row["currency"],
        address=row["address"],
        paid_at=row["paid_at"],
        shipped_at=row["shipped_at"],
        delivered_at=row["delivered_at"],
        cancelled_at=row["cancelled_at"],
        carrier=carrier,
        tracking_number=row["tracking_number"],
        last_event=last,
        refunded=row["refund_id"] is not None,
        invoiced=row["invoice_id"] is not None,
    )


def case_number(kind: str, row: int) -> str:
    """What the customer calls a refund or a complaint."""
    return f"{'R' if kind == 'refund' else 'T'}{row:06d}"


def parse_case_number(number: str) -> tuple[str, int] | None:
    """The kind and the row of a case's number; `None` when it is no such number."""
    kind, digits = LETTERS.get(number[:1].upper()), number[1:]
    if kind is None or not (digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS):
        return None
    return kind, int(digits)


def case_view(row: sqlite3.Row) -> Case:
    """A refund or a complaint."""
    is_refund, words = row["kind"] == "refund", row["words"]
    summary = words if len(words) <= LONGEST_SUMMARY else f"{words[: LONGEST_SUMMARY - 1]}…"
    return Case(
        number=case_number(row["kind"], row["id"]),
        kind=row["kind"],
        status=row["status"],
        status_text=CASE_STATUS[row["status"]],
        submitted_at=row["created_at"],
        summary=None if is_refund else summary,
        order_number=row["order_number"],
        item=None if row["item_zh"] is None else Text(zh=row["item_zh"], en=row["item_en"]),
        amount_fen=row["amount_fen"],
        currency=row["currency"],
        reason=words if is_refund else None,
    )


def address_answer(text: str) -> AddressAnswer:
    """Whether a parcel could get to an address."""
    normalized = normal_address(text)
    problem = address_problem(normalized)
    return AddressAnswer(valid=problem is None, problem=problem, normalized=normalized)


def invoice_check(title: str | None, tax_id: str | None) -> InvoiceCheck:
    """Whether an invoice could have these details."""
    problem = invoice_problem(title, tax_id)
    return InvoiceCheck(valid=problem is None, problem=problem)
