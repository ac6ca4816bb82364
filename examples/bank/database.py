"""The bank's SQLite file: tables, units of work, and effects that happen once for each idempotency key."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from examples.bank.problems import Refused

__all__ = ["ZONE", "Database", "Row", "amount", "cents", "now", "once"]

ZONE = timezone(timedelta(hours=8))
"""Where the bank's days are; China has one time zone and no summer time."""

Row = sqlite3.Row
BUSY_SECONDS = 10.0

SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE accounts (
  id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers, kind TEXT NOT NULL, name_zh TEXT NOT NULL,
  name_en TEXT NOT NULL, last4 TEXT NOT NULL, currency TEXT NOT NULL, balance INTEGER NOT NULL,
  credit INTEGER NOT NULL);
CREATE TABLE cards (
  customer TEXT NOT NULL REFERENCES customers, last4 TEXT NOT NULL, account TEXT NOT NULL REFERENCES accounts,
  kind TEXT NOT NULL, name_zh TEXT NOT NULL, name_en TEXT NOT NULL, status TEXT NOT NULL,
  spending_limit INTEGER NOT NULL, transfer_limit INTEGER NOT NULL, expires TEXT NOT NULL,
  PRIMARY KEY (customer, last4));
CREATE TABLE transactions (
  id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers, account TEXT NOT NULL REFERENCES accounts,
  booked_at TEXT NOT NULL, kind TEXT NOT NULL, party_zh TEXT NOT NULL, party_en TEXT NOT NULL,
  amount INTEGER NOT NULL, currency TEXT NOT NULL);
CREATE INDEX transactions_by_day ON transactions (customer, booked_at DESC, id DESC);
CREATE TABLE holds (
  number INTEGER PRIMARY KEY, customer TEXT NOT NULL, trans TEXT NOT NULL REFERENCES transactions,
  status TEXT NOT NULL, placed_at TEXT NOT NULL);
CREATE UNIQUE INDEX one_hold ON holds (trans) WHERE status = 'active';
CREATE TABLE disputes (
  number INTEGER PRIMARY KEY, customer TEXT NOT NULL, trans TEXT NOT NULL REFERENCES transactions,
  hold INTEGER NOT NULL REFERENCES holds, reason TEXT NOT NULL, status TEXT NOT NULL, opened_at TEXT NOT NULL);
CREATE UNIQUE INDEX one_dispute ON disputes (trans) WHERE status = 'open';
CREATE TABLE replacements (
  number INTEGER PRIMARY KEY, customer TEXT NOT NULL, last4 TEXT NOT NULL, ordered_at TEXT NOT NULL);
CREATE TABLE branches (
  id TEXT PRIMARY KEY, city_zh TEXT NOT NULL, city_en TEXT NOT NULL, name_zh TEXT NOT NULL, name_en TEXT NOT NULL,
  address_zh TEXT NOT NULL, address_en TEXT NOT NULL, phone TEXT NOT NULL, weekend INTEGER NOT NULL);
CREATE TABLE appointments (
  number INTEGER PRIMARY KEY, customer TEXT NOT NULL, branch TEXT NOT NULL REFERENCES branches, slot TEXT NOT NULL,
  topic TEXT NOT NULL, reference TEXT NOT NULL, status TEXT NOT NULL);
CREATE UNIQUE INDEX one_visitor ON appointments (branch, slot) WHERE status = 'booked';
CREATE UNIQUE INDEX one_reference ON appointments (customer, reference);
CREATE TABLE keys (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, done_at TEXT NOT NULL);
"""


class Database:
    """One file; every request has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, fill: Callable[[sqlite3.Connection], object]) -> bool:
        """Makes and fills the tables in one transaction, unless they are there; whether they were made."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'keys'").fetchone():
                return False
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            fill(connection)
            connection.execute("COMMIT")
            return True

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for one question."""
        with self._connected() as connection:
            yield connection

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at its end, and undone when something is raised within it."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        finally:
            connection.close()  # rolls back what was not committed


def once(
    database: Database, key: str, request: list[Any], effect: Callable[[sqlite3.Connection], dict[str, Any]]
) -> dict[str, Any]:
    """Does something once for a key, which is kept with the effect in one transaction.

    The same request with the same key gets the first answer again. A refusal changes nothing and is not kept.

    Raises:
        Refused: the key was used for another request.
    """
    digest = hashlib.sha256(json.dumps(request, ensure_ascii=False).encode()).hexdigest()
    with database.change() as connection:
        known = connection.execute("SELECT request, body FROM keys WHERE key = ?", (key,)).fetchone()
        if known is not None and known["request"] != digest:
            raise Refused(422, "key_reused", "this Idempotency-Key was used for another request")
        if known is not None:
            answer: dict[str, Any] = json.loads(known["body"])
            return answer
        answer = effect(connection)
        connection.execute(
            "INSERT INTO keys VALUES (?, ?, 200, ?, ?)",
            (key, digest, json.dumps(answer, ensure_ascii=False), now().isoformat()),
        )
        return answer


def now() -> datetime:
    """The time at the bank."""
    return datetime.now(UTC).astimezone(ZONE).replace(microsecond=0)


def amount(value: int) -> float:
    """An amount as the API has it; the tables count hundredths."""
    return value / 100


def cents(value: float) -> int:
    """An amount as the tables have it."""
    return round(value * 100)
