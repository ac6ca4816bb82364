"""What every operation is given: the database, the customer, and the key under which an effect happens once."""

from sqlite3 import Connection
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from examples.bank.database import Database, Row
from examples.bank.problems import Refused

__all__ = ["Customer", "Key", "Last4", "TheDatabase", "the_customer"]


def database_of(request: Request) -> Database:
    """The application's database."""
    found: Database = request.app.state.database
    return found


TheDatabase = Annotated[Database, Depends(database_of)]
Customer = Annotated[str, Path(pattern=r"^[A-Za-z0-9]{1,20}$", description="The customer's number.")]
Last4 = Annotated[str, Path(pattern=r"^[0-9]{4}$", description="The last four digits of the card's number.")]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request has one effect, and gets the same answer again.",
    ),
]


def the_customer(connection: Connection, customer: str) -> Row:
    """A customer of the bank; raises `Refused` where there is none."""
    found: Row | None = connection.execute("SELECT * FROM customers WHERE id = ?", (customer,)).fetchone()
    if found is None:
        raise Refused(404, "customer_not_found", f"there is no customer {customer}")
    return found
