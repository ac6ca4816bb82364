from datetime import UTC, datetime, timedelta

from examples.shop import repository
from examples.shop.store import Store


def test_somebody_elses_order_is_not_there(store: Store) -> None:
    with store.reading() as db:
        assert repository.order_of(db, "C1001", "20261103001")
        for customer in ("C1002", "C9999", None, "' OR 1=1 --"):
            assert repository.order_of(db, customer, "20261103001") is None
        assert repository.order_of(db, "C1001", None) is None


def test_orders_come_the_newest_first_and_by_pages(store: Store) -> None:
    with store.reading() as db:
        numbers = [each["number"] for each in repository.orders_of(db, "C1001", 100, 0)]
        assert numbers[:2] == ["20261103002", "20261103001"]
        assert [each["number"] for each in repository.orders_of(db, "C1001", 2, 1)] == numbers[1:3]
        row = repository.customer_id(db, "C1001")
        assert row
        assert repository.count_orders(db, row) == len(numbers) == 6


def test_an_order_says_what_happened_to_it_last(store: Store) -> None:
    with store.writing() as db:
        order = repository.order_of(db, "C1001", "20261103001")
        assert order
        assert order["last_en"] == "Arrived at the Shanghai transit centre"
        later = repository.stamp(datetime.now(UTC) + timedelta(hours=1))
        for text in ("first", "second"):
            repository.add_event(db, order["id"], later, text, text)
        order = repository.order_of(db, "C1001", "20261103001")
        assert order
        assert order["last_en"] == "second"


def test_open_complaints_are_counted_by_customer_or_else_by_reference(store: Store) -> None:
    with store.writing() as db:
        row = repository.customer_id(db, "C1001")
        for customer, reference in ((row, "a"), (None, "a"), (None, "a"), (None, None)):
            last = repository.add_complaint(
                db, customer=customer, order=None, reference=reference, subject="x", sentiment=None, moment=""
            )
        assert repository.count_open_complaints(db, row, "b") == 1
        assert repository.count_open_complaints(db, None, "a") == 2
        assert repository.count_open_complaints(db, None, None) == 0
        repository.withdraw_complaint(db, last - 1)
        assert repository.count_open_complaints(db, None, "a") == 1


def test_answers_of_long_ago_are_forgotten(store: Store) -> None:
    with store.writing() as db:
        repository.keep_answer(db, "old", "f", 200, "{}", "2026-01-01T00:00:00Z")
        repository.keep_answer(db, "new", "f", 200, "{}", "2026-02-01T00:00:00Z")
        repository.forget_answers(db, "2026-01-15T00:00:00Z")
        assert repository.kept_answer(db, "old") is None
        assert repository.kept_answer(db, "new")
