"""Cards: their state and limits, freezing and unfreezing them, and a new one for one that is lost or broken."""

from sqlite3 import Connection
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from examples.bank.accounts import Text
from examples.bank.calls import Customer, Key, Last4, TheDatabase, the_customer
from examples.bank.database import Row, amount, cents, now, once
from examples.bank.problems import Refused, problems

__all__ = ["router"]

router = APIRouter(prefix="/v1/customers/{customer}", tags=["cards"])

LEAST_LIMIT = 100_00
MOST = {"spending": 100_000_00, "transfer": 500_000_00}
"""Above these (hundredths) the bank's core takes no limit, whoever asks for it."""

Kind = Literal["spending", "transfer"]


class Card(BaseModel):
    """A card; of its number there is no more than the last four digits."""

    last4: str
    kind: Literal["debit", "credit"]
    name: Text
    status: Literal["active", "frozen", "blocked"] = Field(description="`blocked` is the bank's own doing.")
    spending_limit: float
    transfer_limit: float
    most_spending: float
    most_transfer: float
    currency: str = "CNY"
    expires: str
    replacement_ordered: bool


class Cards(BaseModel):
    """A customer's cards."""

    cards: list[Card]


class NewLimit(BaseModel):
    """What a limit should be, a day."""

    kind: Kind
    amount: Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]


class Replacement(BaseModel):
    """A new card that was ordered."""

    number: str
    last4: str
    days: int


@router.get("/cards", operation_id="list_cards", responses=problems(401, 404))
def cards(customer: Customer, database: TheDatabase) -> Cards:
    """A customer's cards."""
    with database.read() as connection:
        the_customer(connection, customer)
        rows = connection.execute(f"{FROM_CARDS} WHERE c.customer = ? ORDER BY c.kind DESC, c.last4", (customer,))
        return Cards(cards=[card_of(row) for row in rows])


@router.get("/cards/{last4}", operation_id="get_card", responses=problems(401, 404))
def one_card(customer: Customer, last4: Last4, database: TheDatabase) -> Card:
    """One card."""
    with database.read() as connection:
        return card_of(the_card(connection, customer, last4))


@router.post("/cards/{last4}/freeze", operation_id="freeze_card", responses=problems(401, 404, 409, 422))
def freeze(customer: Customer, last4: Last4, key: Key, database: TheDatabase) -> Card:
    """Nobody can pay with the card until it is unfrozen. Codes: `card_already_frozen`, `card_blocked`."""

    def effect(connection: Connection) -> dict[str, Any]:
        card = the_card(connection, customer, last4)
        if card["status"] == "frozen":
            raise Refused(409, "card_already_frozen", "the card is frozen already")
        not_blocked(card)
        return with_status(connection, customer, last4, "frozen")

    return Card.model_validate(once(database, key, ["freeze", customer, last4], effect))


@router.post("/cards/{last4}/unfreeze", operation_id="unfreeze_card", responses=problems(401, 404, 409, 422))
def unfreeze(customer: Customer, last4: Last4, key: Key, database: TheDatabase) -> Card:
    """The card can be used again. Codes: `card_not_frozen`, `card_blocked`, `replacement_pending`."""

    def effect(connection: Connection) -> dict[str, Any]:
        card = the_card(connection, customer, last4)
        not_blocked(card)
        if card["status"] != "frozen":
            raise Refused(409, "card_not_frozen", "the card is not frozen")
        if card["replacement"]:
            raise Refused(409, "replacement_pending", "a new card is on its way, so this one stays frozen")
        return with_status(connection, customer, last4, "active")

    return Card.model_validate(once(database, key, ["unfreeze", customer, last4], effect))


@router.put("/cards/{last4}/limits", operation_id="change_limit", responses=problems(401, 404, 409, 422))
def change_limit(customer: Customer, last4: Last4, new: NewLimit, key: Key, database: TheDatabase) -> Card:
    """Sets a daily limit.

    Codes: `limit_too_high`, `limit_too_low`, `limit_unchanged`, `card_frozen`, `card_blocked`.
    """

    def effect(connection: Connection) -> dict[str, Any]:
        card, wanted = the_card(connection, customer, last4), cents(new.amount)
        not_blocked(card)
        if card["status"] == "frozen":
            raise Refused(409, "card_frozen", "the limits of a frozen card are not changed")
        if wanted > MOST[new.kind]:
            raise Refused(409, "limit_too_high", f"at most {amount(MOST[new.kind]):.2f}")
        if wanted < LEAST_LIMIT:
            raise Refused(409, "limit_too_low", f"at least {amount(LEAST_LIMIT):.2f}")
        if wanted == card[f"{new.kind}_limit"]:
            raise Refused(409, "limit_unchanged", "that is the limit already")
        connection.execute(
            f"UPDATE cards SET {new.kind}_limit = ? WHERE customer = ? AND last4 = ?", (wanted, customer, last4)
        )
        return card_of(the_card(connection, customer, last4)).model_dump()

    return Card.model_validate(once(database, key, ["limit", customer, last4, new.model_dump()], effect))


@router.post(
    "/cards/{last4}/replacements", operation_id="order_card", status_code=201, responses=problems(401, 404, 409)
)
def order(customer: Customer, last4: Last4, database: TheDatabase) -> Replacement:
    """Orders a new card from the printer, whose system knows no keys. Codes: `replacement_pending`, `card_blocked`."""
    with database.change() as connection:
        card = the_card(connection, customer, last4)
        not_blocked(card)
        if card["replacement"]:
            raise Refused(409, "replacement_pending", "a new card is on its way already")
        number = connection.execute(
            "INSERT INTO replacements (customer, last4, ordered_at) VALUES (?, ?, ?)",
            (customer, last4, now().isoformat()),
        ).lastrowid
    return Replacement(number=f"R{number:06d}", last4=last4, days=5)


FROM_CARDS = """
SELECT c.*, (SELECT count(*) FROM replacements r WHERE r.customer = c.customer AND r.last4 = c.last4) AS replacement
FROM cards c
"""


def the_card(connection: Connection, customer: str, last4: str) -> Row:
    """A card of the customer; raises `Refused` where there is none."""
    row: Row | None = connection.execute(
        f"{FROM_CARDS} WHERE c.customer = ? AND c.last4 = ?", (customer, last4)
    ).fetchone()
    if row is None:
        raise Refused(404, "card_not_found", f"customer {customer} has no card that ends in {last4}")
    return row


def not_blocked(card: Row) -> None:
    """Raises `Refused` for a card that the bank has blocked."""
    if card["status"] == "blocked":
        raise Refused(409, "card_blocked", "the bank has blocked the card; only a branch can help")


def with_status(connection: Connection, customer: str, last4: str, status: str) -> dict[str, Any]:
    """The card with another state."""
    connection.execute("UPDATE cards SET status = ? WHERE customer = ? AND last4 = ?", (status, customer, last4))
    return card_of(the_card(connection, customer, last4)).model_dump()


def card_of(row: Row) -> Card:
    """A card as the API has it."""
    return Card(
        last4=row["last4"],
        kind=row["kind"],
        name=Text(zh=row["name_zh"], en=row["name_en"]),
        status=row["status"],
        spending_limit=amount(row["spending_limit"]),
        transfer_limit=amount(row["transfer_limit"]),
        most_spending=amount(MOST["spending"]),
        most_transfer=amount(MOST["transfer"]),
        expires=row["expires"],
        replacement_ordered=bool(row["replacement"]),
    )
