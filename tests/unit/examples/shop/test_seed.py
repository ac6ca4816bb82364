from datetime import UTC, datetime

from examples.shop import repository
from examples.shop.seed import ORDERS, reset, seed
from examples.shop.store import Store


def test_seeding_again_adds_what_is_missing_and_changes_nothing_that_is_there(store: Store) -> None:
    with store.writing() as db:
        db.execute("UPDATE orders SET address = 'elsewhere' WHERE number = '20261103002'")
        db.execute("DELETE FROM order_events WHERE order_id = (SELECT id FROM orders WHERE number = '20261103001')")
        db.execute("DELETE FROM orders WHERE number = '20261103001'")

    assert seed(store) == 1

    with store.reading() as db:
        assert repository.order_of(db, "C1001", "20261103001")
        order = repository.order_of(db, "C1001", "20261103002")
        assert order
        assert order["address"] == "elsewhere"


def test_dates_are_counted_back_from_the_day_of_seeding(store: Store) -> None:
    with store.writing() as db:
        repository.clear(db)
    seed(store, datetime(2026, 1, 31, 12, 0, 0, 999, tzinfo=UTC))
    with store.reading() as db:
        order = repository.order_of(db, "C1001", "20261103003")
    assert order
    assert (order["paid_at"], order["delivered_at"]) == ("2026-01-25T12:00:00Z", "2026-01-28T12:00:00Z")
    assert order["last_en"] == "Delivered and signed for"


def test_a_reset_makes_the_shop_what_it_was_on_its_first_day(store: Store) -> None:
    with store.writing() as db:
        order = repository.order_of(db, "C1001", "20261103003")
        assert order
        repository.add_refund(db, order, "x", "2026-01-01T00:00:00Z")

    assert reset(store) == len(ORDERS)

    with store.reading() as db:
        assert repository.cases_of(db, "C1001", 9) == []
