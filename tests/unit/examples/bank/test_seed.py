"""What the bank begins with fits together."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection

import pytest

from examples.bank.branches import AHEAD, SLOT
from examples.bank.database import Database, now
from examples.bank.seed import seed


@pytest.fixture
def seeded(tmp_path: Path) -> Iterator[Connection]:
    database = Database(tmp_path / "bank.sqlite")
    database.create(seed)
    with database.read() as connection:
        yield connection


def test_nothing_refers_to_what_is_not_there(seeded: Connection) -> None:
    assert seeded.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_payment_and_a_card_are_of_who_has_the_account(seeded: Connection) -> None:
    for table in ("transactions", "cards"):
        of_others = f"SELECT 1 FROM {table} t JOIN accounts a ON a.id = t.account WHERE a.customer <> t.customer"
        assert seeded.execute(of_others).fetchall() == []


def test_everything_booked_is_past_and_there_is_more_than_a_page(seeded: Connection) -> None:
    rows = seeded.execute("SELECT booked_at FROM transactions WHERE customer = 'C1001'").fetchall()
    assert len(rows) > 20
    assert all(datetime.fromisoformat(row["booked_at"]) < now() for row in rows)


def test_an_appointment_is_to_come(seeded: Connection) -> None:
    slots = [row["slot"] for row in seeded.execute("SELECT slot FROM appointments")]
    assert len(slots) == 1
    days = (datetime.strptime(slots[0], SLOT).date() - now().date()).days
    assert 0 <= days <= AHEAD


def test_cards_are_in_every_state(seeded: Connection) -> None:
    assert {row["status"] for row in seeded.execute("SELECT status FROM cards")} == {"active", "frozen", "blocked"}
