"""The bank's file: made once, changed wholly or not at all, and effects that happen once for a key."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from examples.bank.database import Database, amount, cents, now, once
from examples.bank.problems import Refused


def add(connection: sqlite3.Connection) -> dict[str, Any]:
    """One customer more."""
    count = connection.execute("SELECT count(*) FROM customers").fetchone()[0]
    connection.execute("INSERT INTO customers VALUES (?, ?)", (f"C{count}", "王芳"))
    return {"customer": f"C{count}"}


def count_of(database: Database) -> int:
    with database.read() as connection:
        count: int = connection.execute("SELECT count(*) FROM customers").fetchone()[0]
        return count


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "below" / "bank.sqlite")
    assert made.create(lambda _: None)
    return made


def test_a_bank_that_is_there_is_not_filled_again(tmp_path: Path, database: Database) -> None:
    assert not Database(tmp_path / "below" / "bank.sqlite").create(add)
    assert count_of(database) == 0


def test_tables_that_cannot_be_filled_are_not_made(tmp_path: Path) -> None:
    broken = Database(tmp_path / "bank.sqlite")
    with pytest.raises(sqlite3.OperationalError):
        broken.create(lambda connection: connection.execute("INSERT INTO nothing VALUES (1)"))
    assert broken.create(add)
    assert count_of(broken) == 1


def test_a_change_that_fails_is_undone(database: Database) -> None:
    def change() -> None:
        with database.change() as connection:
            add(connection)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert count_of(database) == 0


def test_a_key_has_one_effect_however_many_ask(database: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: once(database, "k", ["add"], add), range(8)))
    assert answers == [{"customer": "C0"}] * 8
    assert count_of(database) == 1


def test_a_key_is_of_one_request(database: Database) -> None:
    once(database, "k", ["add", "中"], add)
    with pytest.raises(Refused) as refused:
        once(database, "k", ["add", "文"], add)
    assert (refused.value.status, refused.value.code) == (422, "key_reused")
    assert count_of(database) == 1


def test_a_refusal_is_no_effect_and_its_key_is_free(database: Database) -> None:
    def no(connection: sqlite3.Connection) -> dict[str, Any]:
        add(connection)
        raise Refused(409, "not_now", "not now")

    with pytest.raises(Refused):
        once(database, "k", ["add"], no)
    assert once(database, "k", ["add"], add) == {"customer": "C0"}


@pytest.mark.parametrize("value", [0.01, 0.29, 19.99, 1_000_000.07, -3200.0])
def test_amounts_lose_nothing(value: float) -> None:
    assert amount(cents(value)) == value


def test_the_banks_time_is_that_of_china() -> None:
    assert now().isoformat().endswith("+08:00")
