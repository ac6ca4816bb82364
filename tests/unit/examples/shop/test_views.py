import pytest

from examples.shop import repository
from examples.shop.store import Store
from examples.shop.views import (
    address_answer,
    case_number,
    case_view,
    invoice_check,
    order_view,
    parse_case_number,
)


@pytest.mark.parametrize("kind", ["refund", "complaint"])
@pytest.mark.parametrize("row", [1, 999_999_999])
def test_a_cases_number_is_read_as_it_is_written(kind: str, row: int) -> None:
    assert parse_case_number(case_number(kind, row)) == (kind, row)
    assert parse_case_number(case_number(kind, row).lower()) == (kind, row)


@pytest.mark.parametrize("number", ["", "R", "X000001", "R-1", "R1000000000", "R１", "T0x1", "000001"])
def test_what_is_no_number_of_a_case(number: str) -> None:
    assert parse_case_number(number) is None


def test_an_order_that_has_not_left_has_no_carrier(store: Store) -> None:
    with store.reading() as db:
        row = repository.order_of(db, "C1001", "20261103002")
    assert row
    order = order_view(row)
    assert (order.carrier, order.tracking_number, order.shipped_at) == (None, None, None)
    assert order.status_text.en == "paid, not shipped yet"
    assert order.last_event
    assert (order.refunded, order.invoiced) == (False, False)


def test_a_long_complaint_is_told_by_how_it_begins(store: Store) -> None:
    with store.writing() as db:
        customer = repository.customer_id(db, "C1001")
        for words in ("字" * 30, "字" * 31):
            repository.add_complaint(
                db, customer=customer, order=None, reference=None, subject=words, sentiment=None, moment="2026"
            )
        long, short = map(case_view, repository.cases_of(db, "C1001", 9))
    assert short.summary == "字" * 30
    assert long.summary == "字" * 29 + "…"
    assert (long.item, long.amount_fen, long.reason) == (None, None, None)


def test_checks() -> None:
    assert address_answer(" 北京市朝阳区建国路88号。").model_dump() == {
        "valid": True,
        "problem": None,
        "normalized": "北京市朝阳区建国路88号",
    }
    assert address_answer("家").problem == "address_too_short"
    assert invoice_check("个人", None).valid
    assert invoice_check("个人", "1").problem == "tax_id_invalid"
