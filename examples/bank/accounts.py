"""Accounts with their balances, and what was booked on them."""

import base64
import binascii
from sqlite3 import Connection
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from examples.bank.calls import Customer, TheDatabase, the_customer
from examples.bank.database import Row, amount
from examples.bank.problems import Refused, problems

__all__ = ["Text", "router", "the_transaction", "transaction_of"]

router = APIRouter(prefix="/v1/customers/{customer}", tags=["accounts"])

FROM_TRANSACTIONS = """
SELECT t.*, a.last4, h.status AS hold, d.status AS dispute FROM transactions t JOIN accounts a ON a.id = t.account
LEFT JOIN holds h ON h.trans = t.id AND h.status = 'active'
LEFT JOIN disputes d ON d.trans = t.id AND d.status = 'open'
"""


class Text(BaseModel):
    """A text in both languages."""

    zh: str
    en: str


class Account(BaseModel):
    """An account; `available` is what can be spent, with the credit that it has."""

    id: str
    kind: Literal["current", "savings", "credit"]
    name: Text
    last4: str
    currency: str
    balance: float
    available: float


class Accounts(BaseModel):
    """A customer's accounts."""

    accounts: list[Account]


class Transaction(BaseModel):
    """Something that was booked; what leaves the account has a negative amount."""

    id: str
    booked_at: str
    kind: Literal["transfer", "card", "income", "fee"]
    counterparty: Text
    account_last4: str
    amount: float
    currency: str
    held: bool
    disputed: bool


class Transactions(BaseModel):
    """The latest first; `next` is the cursor of the page after this one."""

    transactions: list[Transaction]
    next: str | None


@router.get("/accounts", operation_id="list_accounts", responses=problems(401, 404))
def accounts(customer: Customer, database: TheDatabase) -> Accounts:
    """A customer's accounts with their balances."""
    with database.read() as connection:
        the_customer(connection, customer)
        rows = connection.execute("SELECT * FROM accounts WHERE customer = ? ORDER BY id", (customer,)).fetchall()
    return Accounts(
        accounts=[
            Account(
                id=row["id"],
                kind=row["kind"],
                name=Text(zh=row["name_zh"], en=row["name_en"]),
                last4=row["last4"],
                currency=row["currency"],
                balance=amount(row["balance"]),
                available=amount(row["balance"] + row["credit"]),
            )
            for row in rows
        ]
    )


@router.get("/transactions", operation_id="list_transactions", responses=problems(401, 404, 422))
def transactions(
    customer: Customer,
    database: TheDatabase,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    last4: Annotated[str | None, Query(pattern=r"^[0-9]{4}$", description="Of one account only.")] = None,
) -> Transactions:
    """What was booked on a customer's accounts, the latest first, a page at a time."""
    booked_at, last = read_cursor(cursor) if cursor else ("9999", "")
    with database.read() as connection:
        the_customer(connection, customer)
        rows = connection.execute(
            f"{FROM_TRANSACTIONS} WHERE t.customer = ? AND (t.booked_at, t.id) < (?, ?) AND (? IS NULL OR a.last4 = ?)"
            " ORDER BY t.booked_at DESC, t.id DESC LIMIT ?",
            (customer, booked_at, last, last4, last4, limit + 1),
        ).fetchall()
    more = len(rows) > limit
    return Transactions(
        transactions=[transaction_of(row) for row in rows[:limit]],
        next=cursor_of(rows[limit - 1]) if more else None,
    )


@router.get("/transactions/{transaction}", operation_id="get_transaction", responses=problems(401, 404))
def one_transaction(customer: Customer, transaction: str, database: TheDatabase) -> Transaction:
    """One thing that was booked."""
    with database.read() as connection:
        return transaction_of(the_transaction(connection, customer, transaction))


def the_transaction(connection: Connection, customer: str, transaction: str) -> Any:
    """A transaction of the customer; raises `Refused` where there is none."""
    row = connection.execute(
        f"{FROM_TRANSACTIONS} WHERE t.customer = ? AND t.id = ?", (customer, transaction)
    ).fetchone()
    if row is None:
        raise Refused(404, "transaction_not_found", f"customer {customer} has no transaction {transaction}")
    return row


def transaction_of(row: Row) -> Transaction:
    """A transaction as the API has it."""
    return Transaction(
        id=row["id"],
        booked_at=row["booked_at"],
        kind=row["kind"],
        counterparty=Text(zh=row["party_zh"], en=row["party_en"]),
        account_last4=row["last4"],
        amount=amount(row["amount"]),
        currency=row["currency"],
        held=row["hold"] is not None,
        disputed=row["dispute"] is not None,
    )


def cursor_of(row: Row) -> str:
    """Where the next page begins."""
    return base64.urlsafe_b64encode(f"{row['booked_at']} {row['id']}".encode()).decode()


def read_cursor(cursor: str) -> tuple[str, str]:
    """A cursor that was given; raises `Refused` for anything else."""
    try:
        booked_at, last = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().split(" ")
    except (binascii.Error, ValueError):
        raise Refused(422, "invalid_cursor", "cursor: not one that a page gave") from None
    return booked_at, last
