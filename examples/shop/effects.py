"""What changes something in the shop. Each checks all that speaks against it before it writes, or raises a `Problem`.

The shop refuses what would be wrong for any company: money that goes back twice, an order that has left. Until when
and how much is given back is the company's policy, which whoever calls here has to know.
"""

import sqlite3
from datetime import UTC, datetime

from examples.shop import repository
from examples.shop.addresses import address_problem, normal_address
from examples.shop.bodies import (
    Case,
    ChangeAddress,
    Complain,
    Complaint,
    Invoice,
    Order,
    PlaceOrder,
    Refund,
    RefundOrder,
    RequestInvoice,
)
from examples.shop.problems import Problem
from examples.shop.tax_id import invoice_problem, normal_tax_id
from examples.shop.views import case_number, case_view, order_view, parse_case_number

__all__ = [
    "cancel_order",
    "change_address",
    "complain",
    "order_or_problem",
    "place_order",
    "refund_order",
    "request_invoice",
    "withdraw_case",
]

REFUNDED = Problem(409, "already_refunded", "the money of this order has been given back already")
CANCELLED = Problem(409, "order_cancelled", "this order has been cancelled")
LEFT = {
    "shipped": Problem(409, "already_shipped", "this order is on its way"),
    "delivered": Problem(409, "already_delivered", "this order has been delivered"),
}
DETAILS = {
    "address_too_short": "the address is too short",
    "address_too_long": "the address is too long",
    "address_incomplete": "the address is not complete enough to deliver to",
    "title_invalid": "this cannot stand on an invoice as the buyer",
    "tax_id_invalid": "the tax number fails its check",
}


def order_or_problem(db: sqlite3.Connection, customer: str | None, number: str) -> sqlite3.Row:
    """A customer's order; somebody else's is answered as one that does not exist."""
    order = repository.order_of(db, customer, number.strip())
    if order is None:
        raise Problem(404, "order_not_found", "this customer has no such order")
    return order


def place_order(db: sqlite3.Connection, customer: str, body: PlaceOrder) -> Order:
    """A customer buys something and has paid."""
    if repository.customer_id(db, customer) is None:
        raise Problem(404, "customer_not_found", "there is no such customer")
    address = normal_address(body.address)
    if (problem := address_problem(address)) is not None:
        raise Problem(409, problem, DETAILS[problem])
    moment = _moment()
    row = repository.add_order(
        db,
        customer,
        number=body.number,
        status="paid",
        item_zh=body.item.zh,
        item_en=body.item.en,
        amount_fen=body.amount_fen,
        address=address,
        paid_at=moment,
    )
    if row is None:
        raise Problem(409, "number_taken", "there is an order with this number already")
    repository.add_event(db, row, moment, "已付款", "Payment received")
    return order_view(order_or_problem(db, customer, body.number))


def refund_order(db: sqlite3.Connection, customer: str, number: str, body: RefundOrder) -> Refund:
    """The money of an order goes back."""
    order = order_or_problem(db, customer, number)
    _still_paid(order)
    moment = _moment()
    row = repository.add_refund(db, order, body.reason, moment)
    repository.set_status(db, order["id"], "refunded")
    repository.add_event(db, order["id"], moment, "已退款", "Refunded")
    return Refund(number=case_number("refund", row), order=_again(db, customer, order), reason=body.reason)


def cancel_order(db: sqlite3.Connection, customer: str, number: str) -> Order:
    """An order that has not left is not sent; it was paid, so the money goes back with it."""
    order = order_or_problem(db, customer, number)
    _still_here(order)
    moment = _moment()
    repository.add_refund(db, order, "cancelled", moment)
    repository.cancel(db, order["id"], moment)
    repository.add_event(db, order["id"], moment, "订单已取消，款项已退回", "Cancelled and refunded")
    return _again(db, customer, order)


def change_address(db: sqlite3.Connection, customer: str, number: str, body: ChangeAddress) -> Order:
    """An order that has not left goes somewhere else."""
    order = order_or_problem(db, customer, number)
    _still_here(order)
    address = normal_address(body.address)
    if (problem := address_problem(address)) is not None:
        raise Problem(409, problem, DETAILS[problem])
    repository.set_address(db, order["id"], address)
    repository.add_event(db, order["id"], _moment(), "收货地址已修改", "Delivery address changed")
    return _again(db, customer, order)


def request_invoice(db: sqlite3.Connection, customer: str, number: str, body: RequestInvoice) -> Invoice:
    """An order gets its invoice."""
    order = order_or_problem(db, customer, number)
    if order["invoice_id"] is not None:
        raise Problem(409, "already_invoiced", "there is an invoice for this order already")
    _still_paid(order)
    if (problem := invoice_problem(body.title, body.tax_id)) is not None:
        raise Problem(409, problem, DETAILS[problem])
    tax_id, moment = None if body.tax_id is None else normal_tax_id(body.tax_id), _moment()
    row = repository.add_invoice(db, order, body.title, tax_id, body.email, moment)
    return Invoice(
        number=f"INV{row:08d}",
        order=_again(db, customer, order),
        title=body.title,
        tax_id=tax_id,
        email=body.email,
        issued_at=moment,
    )


def complain(db: sqlite3.Connection, body: Complain, most_open: int) -> Complaint:
    """A complaint is written down for people to look into."""
    customer = repository.customer_id(db, body.customer)
    still_open = repository.count_open_complaints(db, customer, body.reference)
    if still_open >= most_open:
        detail = "so many complaints of this customer are open that no other one is taken"
        raise Problem(409, "too_many_complaints", detail, open=still_open)
    order = repository.order_of(db, body.customer, body.order_number)
    row = repository.add_complaint(
        db,
        customer=customer,
        order=None if order is None else order["id"],
        reference=body.reference,
        subject=body.subject,
        sentiment=body.sentiment,
        moment=_moment(),
    )
    return Complaint(number=case_number("complaint", row), order_number=None if order is None else order["number"])


def withdraw_case(db: sqlite3.Connection, customer: str, number: str) -> Case:
    """A complaint that is open is taken back."""
    key = parse_case_number(number.strip())
    case = None if key is None else repository.case_of(db, customer, *key)
    if key is None or case is None:
        raise Problem(404, "case_not_found", "this customer has no such refund or complaint")
    if case["status"] == "done":
        raise Problem(409, "already_paid", "the money has gone back already")
    if case["status"] == "withdrawn":
        raise Problem(409, "already_withdrawn", "it has been withdrawn already")
    repository.withdraw_complaint(db, case["id"])
    found = repository.case_of(db, customer, *key)
    assert found is not None
    return case_view(found)


def _still_paid(order: sqlite3.Row) -> None:
    if order["status"] == "cancelled":
        raise CANCELLED
    if order["status"] == "refunded" or order["refund_id"] is not None:
        raise REFUNDED


def _still_here(order: sqlite3.Row) -> None:
    _still_paid(order)
    if order["status"] in LEFT:
        raise LEFT[order["status"]]


def _again(db: sqlite3.Connection, customer: str, order: sqlite3.Row) -> Order:
    return order_view(order_or_problem(db, customer, order["number"]))


def _moment() -> str:
    return repository.stamp(datetime.now(UTC))
