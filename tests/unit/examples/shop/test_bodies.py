import pytest
from pydantic import ValidationError

from examples.shop.bodies import Complain, RefundOrder, RequestInvoice, one_line


def test_a_text_is_one_line_of_what_can_be_printed() -> None:
    assert one_line(" a\nb\x00c\ud800 ") == "a b c"
    assert one_line(" \t ") is None
    assert one_line(7) == 7


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, 7, None, ["x"]])
def test_a_refund_needs_a_reason(reason: object) -> None:
    with pytest.raises(ValidationError):
        RefundOrder.model_validate({"reason": reason})


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError):
        RefundOrder.model_validate({"reason": "x", "amount": 1})


def test_what_was_left_empty_was_not_given() -> None:
    invoice = RequestInvoice.model_validate({"title": "个人", "tax_id": " ", "email": ""})
    assert (invoice.tax_id, invoice.email) == (None, None)
    assert Complain.model_validate({"subject": "x", "customer": ""}).customer is None


@pytest.mark.parametrize("email", ["x", "a@b", "a b@c.de", "@c.de", "a@c.de" + "x" * 250])
def test_what_is_no_address_of_mail(email: str) -> None:
    with pytest.raises(ValidationError):
        RequestInvoice.model_validate({"title": "个人", "email": email})
