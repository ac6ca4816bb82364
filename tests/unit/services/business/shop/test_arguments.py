from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.business.shop.arguments import InvoiceTerms, OneOrder, OpenTicket, RefundOrder, RequestInvoice

texts = st.text(max_size=80) | st.text(alphabet=" \n\t\x00\x1b\u200b2a", max_size=80)


@given(texts)
def test_a_number_is_printable_and_within_its_limits_or_refused(text: str) -> None:
    try:
        number = OneOrder(order_number=text).order_number
    except ValidationError:
        assert not 1 <= len("".join(each if each.isprintable() else " " for each in text).strip()) <= 64
        return
    assert number.isprintable()
    assert number == number.strip()
    assert 1 <= len(number) <= 64


@given(st.text(alphabet=" \n\t\u3000", max_size=5))
def test_an_optional_field_that_was_left_empty_was_not_given(blank: str) -> None:
    assert InvoiceTerms(order_number=blank, title=blank, tax_id=blank) == InvoiceTerms()
    with pytest.raises(ValidationError):
        RefundOrder(order_number="20261103001", reason=blank)


def test_a_limit_holds_for_what_is_kept_not_for_the_space_around_it() -> None:
    assert OpenTicket(subject=" " * 600 + "x" * 500 + "\n" * 600).subject == "x" * 500
    with pytest.raises(ValidationError):
        OpenTicket(subject="x" * 501)


@pytest.mark.parametrize(
    ("email", "kept"),
    [
        ("a@example.com", "a@example.com"),
        (" a@mail.example.com\n", "a@mail.example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("", None),
        (None, None),
    ],
)
def test_an_address_for_mail_is_kept_without_the_space_around_it(email: str | None, kept: str | None) -> None:
    assert RequestInvoice(order_number="1", title="x", email=email).email == kept


@pytest.mark.parametrize(
    "email",
    [
        "nobody",
        "@example.com",
        "a@example",
        "a@b@example.com",
        "a b@example.com",
        "a@.com",
        "a@example.",
        "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com",
        "a@exa\nmple.com",
        "a\x00b@example.com",
        "\ud800@example.com",
    ],
)
def test_what_is_no_address_for_mail_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        RequestInvoice(order_number="1", title="x", email=email)


@pytest.mark.parametrize("number", [20261103001, 1.5, True, ["20261103001"], None])
def test_a_number_is_not_guessed_from_what_is_no_text(number: Any) -> None:
    with pytest.raises(ValidationError):
        OneOrder(order_number=number)
