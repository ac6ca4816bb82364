import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples.shop.store import Store


def events(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM order_events").fetchone()[0])


def add(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO order_events (order_id, at, text_zh, text_en) VALUES (1, '', '', '')")


def half(store: Store) -> None:
    with store.writing() as db:
        add(db)
        db.execute("INSERT INTO order_events (order_id, at, text_zh, text_en) VALUES (999, '', '', '')")


def test_a_unit_of_work_that_fails_leaves_nothing(store: Store) -> None:
    with store.reading() as db:
        before = events(db)
    with pytest.raises(sqlite3.IntegrityError):
        half(store)
    with store.reading() as db:
        assert events(db) == before


def test_a_reader_sees_one_state(store: Store) -> None:
    with store.reading() as db:
        before = events(db)
        with store.writing() as writer:
            add(writer)
        assert events(db) == before
    with store.reading() as db:
        assert events(db) == before + 1


def test_many_write_at_once_and_two_shops_share_a_folder(store: Store, folder: Path) -> None:
    other = Store(folder)

    def one(number: int) -> None:
        with (store, other)[number % 2].writing() as db:
            add(db)

    with store.reading() as db:
        before = events(db)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(one, range(64)))
    other.close()
    with store.reading() as db:
        assert events(db) == before + 64
