"""Disputed payments: the amount is reserved first, then the dispute is opened; each can be taken back."""

from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from examples.bank.accounts import Text, the_transaction
from examples.bank.calls import Customer, Key, TheDatabase, the_customer
from examples.bank.database import Row, amount, now, once
from examples.bank.problems import Refused, problems

__all__ = ["router"]

router = APIRouter(prefix="/v1/customers/{customer}", tags=["disputes"])

WINDOW = timedelta(days=90)

HoldId = Annotated[str, Path(pattern=r"^H[0-9]{6,12}$")]
DisputeId = Annotated[str, Path(pattern=r"^D[0-9]{6,12}$")]


class NewHold(BaseModel):
    """The payment whose amount is to be reserved."""

    transaction: Annotated[str, Field(min_length=1, max_length=40)]


class Hold(BaseModel):
    """An amount that the receiver cannot spend until the bank has decided."""

    id: str
    transaction: str
    amount: float
    currency: str
    status: Literal["active", "released"]


class NewDispute(BaseModel):
    """What is disputed and why; the amount has to be held."""

    transaction: Annotated[str, Field(min_length=1, max_length=40)]
    hold: Annotated[str, Field(pattern=r"^H[0-9]{6,12}$")]
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Dispute(BaseModel):
    """A dispute and how far it has come."""

    id: str
    transaction: str
    counterparty: Text
    amount: float
    currency: str
    reason: str
    status: Literal["open", "withdrawn"]
    hold: str
    opened_at: str


class Disputes(BaseModel):
    """A customer's disputes, the latest first."""

    disputes: list[Dispute]


@router.post("/holds", operation_id="place_hold", responses=problems(401, 404, 409, 422))
def hold(customer: Customer, new: NewHold, key: Key, database: TheDatabase) -> Hold:
    """Reserves the amount of a payment. Codes: `not_outgoing`, `dispute_window_over`, `already_held`."""

    def effect(connection: Connection) -> dict[str, Any]:
        paid = the_transaction(connection, customer, new.transaction)
        can_be_disputed(paid)
        if paid["hold"]:
            raise Refused(409, "already_held", "the amount is held already")
        number = connection.execute(
            "INSERT INTO holds (customer, trans, status, placed_at) VALUES (?, ?, 'active', ?)",
            (customer, new.transaction, now().isoformat()),
        ).lastrowid
        return hold_of(the_hold(connection, customer, f"H{number:06d}")).model_dump()

    return Hold.model_validate(once(database, key, ["hold", customer, new.model_dump()], effect))


@router.post("/holds/{hold}/release", operation_id="release_hold", responses=problems(401, 404, 409, 422))
def release(customer: Customer, hold: HoldId, key: Key, database: TheDatabase) -> Hold:
    """Gives a reserved amount free. Codes: `hold_not_active`, `dispute_open`."""

    def effect(connection: Connection) -> dict[str, Any]:
        held = the_hold(connection, customer, hold)
        if held["status"] != "active":
            raise Refused(409, "hold_not_active", "the amount is not held any more")
        disputed = connection.execute(
            "SELECT 1 FROM disputes WHERE hold = ? AND status = 'open'", (held["number"],)
        ).fetchone()
        if disputed:
            raise Refused(409, "dispute_open", "a dispute needs it; withdraw that first")
        connection.execute("UPDATE holds SET status = 'released' WHERE number = ?", (held["number"],))
        return hold_of(the_hold(connection, customer, hold)).model_dump()

    return Hold.model_validate(once(database, key, ["release", customer, hold], effect))


@router.get("/disputes", operation_id="list_disputes", responses=problems(401, 404))
def disputes(customer: Customer, database: TheDatabase) -> Disputes:
    """A customer's disputes."""
    with database.read() as connection:
        the_customer(connection, customer)
        rows = connection.execute(f"{FROM_DISPUTES} WHERE d.customer = ? ORDER BY d.number DESC LIMIT 50", (customer,))
        return Disputes(disputes=[dispute_of(row) for row in rows])


@router.get("/disputes/{dispute}", operation_id="get_dispute", responses=problems(401, 404))
def one_dispute(customer: Customer, dispute: DisputeId, database: TheDatabase) -> Dispute:
    """One dispute."""
    with database.read() as connection:
        return dispute_of(the_dispute(connection, customer, dispute))


@router.post("/disputes", operation_id="open_dispute", responses=problems(401, 404, 409, 422))
def open_dispute(customer: Customer, new: NewDispute, key: Key, database: TheDatabase) -> Dispute:
    """Opens a dispute. Codes: `not_outgoing`, `dispute_window_over`, `already_disputed`, `hold_missing`."""

    def effect(connection: Connection) -> dict[str, Any]:
        paid = the_transaction(connection, customer, new.transaction)
        can_be_disputed(paid)
        if paid["dispute"]:
            raise Refused(409, "already_disputed", "there is an open dispute about it")
        held = the_hold(connection, customer, new.hold)
        if held["status"] != "active" or held["trans"] != new.transaction:
            raise Refused(409, "hold_missing", "the amount is not held")
        number = connection.execute(
            "INSERT INTO disputes (customer, trans, hold, reason, status, opened_at) VALUES (?, ?, ?, ?, 'open', ?)",
            (customer, new.transaction, held["number"], new.reason, now().isoformat()),
        ).lastrowid
        return dispute_of(the_dispute(connection, customer, f"D{number:06d}")).model_dump()

    return Dispute.model_validate(once(database, key, ["dispute", customer, new.model_dump()], effect))


@router.post("/disputes/{dispute}/withdraw", operation_id="withdraw_dispute", responses=problems(401, 404, 409, 422))
def withdraw(customer: Customer, dispute: DisputeId, key: Key, database: TheDatabase) -> Dispute:
    """Closes a dispute at the customer's wish and gives the amount free. Code: `dispute_not_open`."""

    def effect(connection: Connection) -> dict[str, Any]:
        found = the_dispute(connection, customer, dispute)
        if found["status"] != "open":
            raise Refused(409, "dispute_not_open", "the dispute is closed already")
        connection.execute("UPDATE disputes SET status = 'withdrawn' WHERE number = ?", (found["number"],))
        connection.execute("UPDATE holds SET status = 'released' WHERE number = ?", (found["hold"],))
        return dispute_of(the_dispute(connection, customer, dispute)).model_dump()

    return Dispute.model_validate(once(database, key, ["withdraw", customer, dispute], effect))


FROM_DISPUTES = """
SELECT d.*, t.party_zh, t.party_en, t.amount, t.currency FROM disputes d JOIN transactions t ON t.id = d.trans
"""


def can_be_disputed(paid: Row) -> None:
    """Raises `Refused` for a payment about which there can be no dispute."""
    if paid["amount"] >= 0:
        raise Refused(409, "not_outgoing", "only what left the account can be disputed")
    if now() - datetime.fromisoformat(paid["booked_at"]) > WINDOW:
        raise Refused(409, "dispute_window_over", f"it is more than {WINDOW.days} days old")


def the_hold(connection: Connection, customer: str, hold: str) -> Row:
    """A hold of the customer; raises `Refused` where there is none."""
    row: Row | None = connection.execute(
        "SELECT h.*, t.amount, t.currency FROM holds h JOIN transactions t ON t.id = h.trans"
        " WHERE h.customer = ? AND h.number = ?",
        (customer, int(hold[1:])),
    ).fetchone()
    if row is None:
        raise Refused(404, "hold_not_found", f"customer {customer} has no hold {hold}")
    return row


def the_dispute(connection: Connection, customer: str, dispute: str) -> Row:
    """A dispute of the customer; raises `Refused` where there is none."""
    row: Row | None = connection.execute(
        f"{FROM_DISPUTES} WHERE d.customer = ? AND d.number = ?", (customer, int(dispute[1:]))
    ).fetchone()
    if row is None:
        raise Refused(404, "dispute_not_found", f"customer {customer} has no dispute {dispute}")
    return row


def hold_of(row: Row) -> Hold:
    """A hold as the API has it."""
    return Hold(
        id=f"H{row['number']:06d}",
        transaction=row["trans"],
        amount=amount(-row["amount"]),
        currency=row["currency"],
        status=row["status"],
    )


def dispute_of(row: Row) -> Dispute:
    """A dispute as the API has it."""
    return Dispute(
        id=f"D{row['number']:06d}",
        transaction=row["trans"],
        counterparty=Text(zh=row["party_zh"], en=row["party_en"]),
        amount=amount(-row["amount"]),
        currency=row["currency"],
        reason=row["reason"],
        status=row["status"],
        hold=f"H{row['hold']:06d}",
        opened_at=row["opened_at"],
    )
