"""All SQL of the shop; each function takes a connection within a unit of work of `Store`."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

__all__ = [
    "add_complaint",
    "add_customer",
    "add_event",
    "add_invoice",
    "add_order",
    "add_refund",
    "cancel",
    "case_of",
    "cases_of",
    "clear",
    "count_open_complaints",
    "count_orders",
    "customer_id",
    "customer_of",
    "events_of",
    "forget_answers",
    "keep_answer",
    "kept_answer",
    "order_of",
    "orders_of",
    "set_address",
    "set_status",
    "stamp",
    "withdraw_complaint",
]

ORDER = """
SELECT orders.*, refunds.id AS refund_id, invoices.id AS invoice_id,
       last.at AS last_at, last.text_zh AS last_zh, last.text_en AS last_en
FROM orders
JOIN customers ON customers.id = orders.customer_id
LEFT JOIN refunds ON refunds.order_id = orders.id
LEFT JOIN invoices ON invoices.order_id = orders.id
LEFT JOIN order_events AS last ON last.id = (
    SELECT id FROM order_events WHERE order_id = orders.id ORDER BY at DESC, id DESC LIMIT 1
)
WHERE customers.number = :customer
"""
CASES = """
SELECT * FROM (
    SELECT 'refund' AS kind, refunds.id AS id, 'done' AS status, refunds.created_at AS created_at,
           orders.number AS order_number, orders.item_zh, orders.item_en, refunds.amount_fen, orders.currency,
           refunds.reason AS words, orders.customer_id AS customer_id
    FROM refunds JOIN orders ON orders.id = refunds.order_id
    UNION ALL
    SELECT 'complaint', complaints.id, complaints.status, complaints.created_at, orders.number,
           orders.item_zh, orders.item_en, NULL, NULL, complaints.subject, complaints.customer_id
    FROM complaints LEFT JOIN orders ON orders.id = complaints.order_id
) JOIN customers ON customers.id = customer_id
WHERE customers.number = :customer
"""


def stamp(moment: datetime) -> str:
    """A moment as it is kept and told: UTC, whole seconds."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def customer_id(db: sqlite3.Connection, number: str | None) -> int | None:
    """The row of a customer, if there is one with this number."""
    row = db.execute("SELECT id FROM customers WHERE number = ?", (number,)).fetchone()
    return None if row is None else row["id"]


def customer_of(db: sqlite3.Connection, number: str) -> sqlite3.Row | None:
    """A customer."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM customers WHERE number = ?", (number,)).fetchone()
    return row


def order_of(db: sqlite3.Connection, customer: str | None, number: str | None) -> sqlite3.Row | None:
    """One of a customer's orders, with its refund, its invoice and what happened to it last."""
    row: sqlite3.Row | None = db.execute(
        f"{ORDER} AND orders.number = :number", {"customer": customer, "number": number}
    ).fetchone()
    return row


def orders_of(db: sqlite3.Connection, customer: str, limit: int, offset: int) -> Sequence[sqlite3.Row]:
    """A customer's orders, the newest first."""
    query = f"{ORDER} ORDER BY orders.paid_at DESC, orders.id DESC LIMIT :limit OFFSET :offset"
    return db.execute(query, {"customer": customer, "limit": limit, "offset": offset}).fetchall()


def count_orders(db: sqlite3.Connection, customer: int) -> int:
    """How many orders a customer has."""
    return int(db.execute("SELECT count(*) FROM orders WHERE customer_id = ?", (customer,)).fetchone()[0])


def set_status(db: sqlite3.Connection, order: int, status: str) -> None:
    """Change how far an order has come."""
    db.execute("UPDATE orders SET status = ? WHERE id = ?", (status, order))


def cancel(db: sqlite3.Connection, order: int, moment: str) -> None:
    """Cancel an order."""
    db.execute("UPDATE orders SET status = 'cancelled', cancelled_at = ? WHERE id = ?", (moment, order))


def set_address(db: sqlite3.Connection, order: int, address: str) -> None:
    """Change where an order goes."""
    db.execute("UPDATE orders SET address = ? WHERE id = ?", (address, order))


def add_event(db: sqlite3.Connection, order: int, moment: str, text_zh: str, text_en: str) -> None:
    """Write down what happened to an order."""
    db.execute(
        "INSERT INTO order_events (order_id, at, text_zh, text_en) VALUES (?, ?, ?, ?)",
        (order, moment, text_zh, text_en),
    )


def events_of(db: sqlite3.Connection, order: int) -> Sequence[sqlite3.Row]:
    """What happened to an order, the oldest first."""
    return db.execute("SELECT * FROM order_events WHERE order_id = ? ORDER BY at, id", (order,)).fetchall()


def add_refund(db: sqlite3.Connection, order: sqlite3.Row, reason: str, moment: str) -> int:
    """Give the money of an order back; the refund's row."""
    return _inserted(
        db.execute(
            "INSERT INTO refunds (order_id, amount_fen, reason, created_at) VALUES (?, ?, ?, ?)",
            (order["id"], order["amount_fen"], reason, moment),
        )
    )


def add_invoice(
    db: sqlite3.Connection, order: sqlite3.Row, title: str, tax_id: str | None, email: str | None, moment: str
) -> int:
    """Give an order its invoice; the invoice's row."""
    return _inserted(
        db.execute(
            "INSERT INTO invoices (order_id, title, tax_id, email, amount_fen, issued_at) VALUES (?, ?, ?, ?, ?, ?)",
            (order["id"], title, tax_id, email, order["amount_fen"], moment),
        )
    )


def add_complaint(
    db: sqlite3.Connection,
    *,
    customer: int | None,
    order: int | None,
    reference: str | None,
    subject: str,
    sentiment: str | None,
    moment: str,
) -> int:
    """Store a complaint; its row."""
    return _inserted(
        db.execute(
            "INSERT INTO complaints (customer_id, order_id, reference, subject, sentiment, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (customer, order, reference, subject, sentiment, moment),
        )
    )


def count_open_complaints(db: sqlite3.Connection, customer: int | None, reference: str | None) -> int:
    """How many complaints of a customer are open; of somebody who is not known, those with the same reference."""
    query = "SELECT count(*) FROM complaints WHERE status = 'open' AND "
    if customer is not None:
        return int(db.execute(f"{query} customer_id = ?", (customer,)).fetchone()[0])
    return int(db.execute(f"{query} customer_id IS NULL AND reference = ?", (reference,)).fetchone()[0])


def withdraw_complaint(db: sqlite3.Connection, complaint: int) -> None:
    """Close a complaint that its customer took back."""
    db.execute("UPDATE complaints SET status = 'withdrawn' WHERE id = ?", (complaint,))


def cases_of(db: sqlite3.Connection, customer: str, limit: int) -> Sequence[sqlite3.Row]:
    """A customer's refunds and complaints, the newest first."""
    query = f"{CASES} ORDER BY created_at DESC, kind DESC, id DESC LIMIT :limit"
    return db.execute(query, {"customer": customer, "limit": limit}).fetchall()


def case_of(db: sqlite3.Connection, customer: str, kind: str, row: int) -> sqlite3.Row | None:
    """One of a customer's refunds or complaints."""
    found: sqlite3.Row | None = db.execute(
        f"SELECT * FROM ({CASES}) WHERE kind = :kind AND id = :row", {"customer": customer, "kind": kind, "row": row}
    ).fetchone()
    return found


def kept_answer(db: sqlite3.Connection, key: str) -> sqlite3.Row | None:
    """What was answered to an idempotency key."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM answers WHERE idempotency_key = ?", (key,)).fetchone()
    return row


def keep_answer(db: sqlite3.Connection, key: str, fingerprint: str, status: int, body: str, moment: str) -> None:
    """Keep an answer in the unit of work of its effect."""
    db.execute(
        "INSERT INTO answers (idempotency_key, fingerprint, status, body, created_at) VALUES (?, ?, ?, ?, ?)",
        (key, fingerprint, status, body, moment),
    )


def forget_answers(db: sqlite3.Connection, before: str) -> None:
    """Delete answers of before a moment."""
    db.execute("DELETE FROM answers WHERE created_at < ?", (before,))


def add_customer(db: sqlite3.Connection, number: str, name_zh: str, name_en: str, phone: str) -> None:
    """Store a customer, if there is none with this number."""
    db.execute(
        "INSERT OR IGNORE INTO customers (number, name_zh, name_en, phone) VALUES (?, ?, ?, ?)",
        (number, name_zh, name_en, phone),
    )


def add_order(db: sqlite3.Connection, customer: str, **columns: str | int | None) -> int | None:
    """Store a customer's order and give its row; nothing when there is one with this number."""
    values = columns | {"customer_id": customer_id(db, customer)}
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    cursor = db.execute(f"INSERT OR IGNORE INTO orders ({names}) VALUES ({places})", values)
    return _inserted(cursor) if cursor.rowcount else None


def clear(db: sqlite3.Connection) -> None:
    """Delete everything but the customers."""
    for table in ("answers", "complaints", "invoices", "refunds", "order_events", "orders"):
        db.execute(f"DELETE FROM {table}")


def _inserted(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid
