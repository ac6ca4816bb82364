"""What a customer has asked for and people work on: refunds and complaints, as their customer may know them."""

from datetime import datetime
from typing import Any

from services.business.shop import repository
from services.business.shop.orders import amount_in_yuan
from services.business.shop.repository import RefundRequestRow, TicketRow
from shared.storage.statements import Unit

__all__ = ["newest_requests", "refund_status", "request_key", "request_of"]

NEWEST = 5
MOST_DIGITS = 9
"""Of a request's number, so that every database can take it."""

STATUS_TEXT: dict[str, dict[str, dict[str, str]]] = {
    "refund": {
        "pending": {
            "zh": "已提交，等待人工审核，还没有退款",
            "en": "submitted, waiting for a person's approval, not paid yet",
        },
        "done": {"zh": "已退款，款项已原路退回", "en": "done, the money went back to the way you paid"},
        "rejected": {"zh": "审核没有通过，没有退款", "en": "not approved, nothing was paid back"},
        "withdrawn": {"zh": "已由您撤回，没有退款", "en": "withdrawn by you, nothing was paid back"},
    },
    "ticket": {
        "open": {"zh": "已登记，等待专人处理", "en": "filed, waiting for somebody to look into it"},
        "withdrawn": {"zh": "已由您撤回", "en": "withdrawn by you"},
    },
}
KIND_TEXT = {"refund": {"zh": "退款", "en": "Refund"}, "ticket": {"zh": "投诉", "en": "Complaint"}}
OPEN = ("pending", "open")
LETTERS = {"R": "refund", "T": "ticket"}


def request_key(number: str) -> tuple[str, int] | None:
    """The kind and the row of a request's number: `R000012` or `T000001`; `None` when it is no such number."""
    kind = LETTERS.get(number[:1].upper())
    digits = number[1:]
    if kind is None or not (digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS):
        return None
    return kind, int(digits)


def refund_status(status: str, withdrawn_at: datetime | None) -> str:
    """How far a refund has come; one that the customer took back was not rejected by anybody."""
    return "withdrawn" if status == "rejected" and withdrawn_at is not None else status


def newest_requests(unit: Unit, customer: str) -> list[dict[str, Any]]:
    """A customer's newest refunds and complaints, the newest first; of each kind as many as fit in a reply."""
    found = [_refund(row) for row in repository.refund_requests(unit, customer, NEWEST)]
    found += [_ticket(row) for row in repository.ticket_requests(unit, customer, NEWEST)]
    return sorted(found, key=lambda request: str(request["submitted_at"]), reverse=True)[:NEWEST]


def request_of(unit: Unit, customer: str, number: str) -> dict[str, Any] | None:
    """One of the customer's requests by its number; another customer's is answered as one that does not exist."""
    key = request_key(number)
    if key is None:
        return None
    if key[0] == "refund":
        refund = repository.refund_request(unit, customer, key[1])
        return None if refund is None else _refund(refund)
    ticket = repository.ticket_request(unit, customer, key[1])
    return None if ticket is None else _ticket(ticket)


def _refund(row: RefundRequestRow) -> dict[str, Any]:
    status = refund_status(row.status, row.withdrawn_at)
    return _request("refund", f"R{row.id:06d}", status, row.created_at) | {
        "about": {"zh": row.item_zh, "en": row.item_en},
        "order_number": row.number,
        "amount": amount_in_yuan(row.amount_fen),
        "currency": row.currency,
        "reason": row.reason,
    }


def _ticket(row: TicketRow) -> dict[str, Any]:
    about = row.subject if len(row.subject) <= 30 else f"{row.subject[:29]}…"
    return _request("ticket", f"T{row.id:06d}", row.status, row.created_at) | {"about": {"zh": about, "en": about}}


def _request(kind: str, number: str, status: str, submitted: datetime) -> dict[str, Any]:
    texts = STATUS_TEXT[kind]
    return {
        "request": number,
        "kind": kind,
        "kind_text": KIND_TEXT[kind],
        "status": status,
        "status_text": texts.get(status, {"zh": status, "en": status}),
        "open": status in OPEN,
        "submitted_at": submitted.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
