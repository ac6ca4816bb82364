import pytest

from examples.shop.bodies import ChangeAddress, Complain, PlaceOrder, RefundOrder, RequestInvoice
from examples.shop.effects import (
    cancel_order,
    change_address,
    complain,
    order_or_problem,
    place_order,
    refund_order,
    request_invoice,
    withdraw_case,
)
from examples.shop.problems import Problem
from examples.shop.store import Store

REASON = RefundOrder(reason="太小了")
ADDRESS = ChangeAddress(address=" 北京市朝阳区建国路88号 ")


def test_an_order_is_placed_and_is_like_any_other(store: Store) -> None:
    wanted = {"number": "N-1", "item": {"zh": "茶", "en": "tea"}, "amount_fen": 100, "address": ADDRESS.address}
    with store.writing() as db:
        order = place_order(db, "C1002", PlaceOrder.model_validate(wanted))
        assert (order.status, order.amount_fen, order.address) == ("paid", 100, "北京市朝阳区建国路88号")
        assert cancel_order(db, "C1002", "N-1").refunded
        for customer, changed, code in (
            ("C1001", {}, "number_taken"),
            ("C9999", {"number": "N-2"}, "customer_not_found"),
            ("C1001", {"number": "N-2", "address": "家"}, "address_too_short"),
        ):
            with pytest.raises(Problem) as refused:
                place_order(db, customer, PlaceOrder.model_validate({**wanted, **changed}))
            assert refused.value.code == code


def test_money_goes_back_once(store: Store) -> None:
    with store.writing() as db:
        refund = refund_order(db, "C1001", " 20261103003 ", REASON)
        assert (refund.number, refund.order.status, refund.order.refunded) == ("R000001", "refunded", True)
        assert refund.order.last_event
        assert refund.order.last_event.en == "Refunded"
        for effect in (
            lambda: refund_order(db, "C1001", "20261103003", REASON),
            lambda: cancel_order(db, "C1001", "20261103003"),
            lambda: change_address(db, "C1001", "20261103003", ADDRESS),
            lambda: request_invoice(db, "C1001", "20261103003", RequestInvoice(title="个人")),
        ):
            with pytest.raises(Problem) as refused:
                effect()
            assert (refused.value.status, refused.value.code) == (409, "already_refunded")


def test_a_cancelled_order_gives_its_money_back_and_no_more(store: Store) -> None:
    with store.writing() as db:
        assert cancel_order(db, "C1001", "20261103002").status == "cancelled"
        for number in ("20261103002", "20261103006"):
            with pytest.raises(Problem) as refused:
                refund_order(db, "C1001", number, REASON)
            assert refused.value.code == "order_cancelled"


@pytest.mark.parametrize(("number", "code"), [("20261103001", "already_shipped"), ("20261103003", "already_delivered")])
def test_what_has_left_is_neither_cancelled_nor_sent_elsewhere(store: Store, number: str, code: str) -> None:
    with store.writing() as db:
        with pytest.raises(Problem) as refused:
            cancel_order(db, "C1001", number)
        assert refused.value.code == code
        with pytest.raises(Problem) as refused:
            change_address(db, "C1001", number, ADDRESS)
        assert refused.value.code == code


def test_an_address_is_checked_and_made_plain(store: Store) -> None:
    with store.writing() as db:
        assert change_address(db, "C1001", "20261103002", ADDRESS).address == "北京市朝阳区建国路88号"
        with pytest.raises(Problem) as refused:
            change_address(db, "C1001", "20261103002", ChangeAddress(address="我家在上海市"))
        assert refused.value.code == "address_incomplete"


def test_an_order_has_one_invoice(store: Store) -> None:
    with store.writing() as db:
        with pytest.raises(Problem) as refused:
            request_invoice(db, "C1001", "20261103001", RequestInvoice(title="公司", tax_id="1"))
        assert refused.value.code == "tax_id_invalid"
        asked = RequestInvoice(title="知音公司", tax_id="91350100m000100y 43", email="a@b.cn")
        invoice = request_invoice(db, "C1001", "20261103001", asked)
        assert (invoice.number, invoice.tax_id, invoice.order.invoiced) == ("INV00000001", "91350100M000100Y43", True)
        with pytest.raises(Problem) as refused:
            request_invoice(db, "C1001", "20261103001", asked)
        assert refused.value.code == "already_invoiced"


def test_a_complaint_is_taken_and_what_is_not_known_is_left_out(store: Store) -> None:
    with store.writing() as db:
        others = Complain(subject="太慢", customer="C1001", order_number="20261104001")
        assert complain(db, others, 2).order_number is None
        own = Complain(subject="太慢", customer="C1001", order_number="20261103001")
        assert complain(db, own, 2).order_number == "20261103001"
        with pytest.raises(Problem) as refused:
            complain(db, own, 2)
        assert (refused.value.code, refused.value.more) == ("too_many_complaints", {"open": 2})
        assert complain(db, Complain(subject="太慢", customer="C9999"), 2).number == "T000003"


def test_only_an_open_complaint_of_ones_own_is_withdrawn(store: Store) -> None:
    with store.writing() as db:
        number = complain(db, Complain(subject="太慢", customer="C1001"), 2).number
        paid = refund_order(db, "C1001", "20261103003", REASON).number
        for customer, case, code in (
            ("C1002", number, "case_not_found"),
            ("C1001", "T000099", "case_not_found"),
            ("C1001", "nonsense", "case_not_found"),
            ("C1001", paid, "already_paid"),
        ):
            with pytest.raises(Problem) as refused:
                withdraw_case(db, customer, case)
            assert refused.value.code == code
        assert withdraw_case(db, "C1001", number).status == "withdrawn"
        with pytest.raises(Problem) as refused:
            withdraw_case(db, "C1001", number)
        assert refused.value.code == "already_withdrawn"


def test_somebody_elses_order_does_not_exist(store: Store) -> None:
    with store.reading() as db, pytest.raises(Problem) as refused:
        order_or_problem(db, "C1002", "20261103001")
    assert (refused.value.status, refused.value.code) == (404, "order_not_found")
