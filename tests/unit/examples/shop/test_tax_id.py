import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.shop.tax_id import ALPHABET, invoice_problem, is_tax_id, is_title, normal_tax_id

REAL = ["91110000802100433B", "91440300708461136T", "91350100M000100Y43"]


@pytest.mark.parametrize("code", REAL)
def test_published_codes_are_valid(code: str) -> None:
    assert is_tax_id(code)


@given(code=st.sampled_from(REAL), place=st.integers(min_value=0, max_value=17), character=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_found(code: str, place: int, character: str) -> None:
    changed = code[:place] + character + code[place + 1 :]

    assert is_tax_id(changed) == (changed == code)


@given(code=st.sampled_from(REAL), place=st.integers(min_value=0, max_value=16))
def test_two_swapped_characters_are_always_found(code: str, place: int) -> None:
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]

    assert is_tax_id(swapped) == (swapped == code)


@given(body=st.text(alphabet=ALPHABET, min_size=17, max_size=17))
def test_every_body_has_exactly_one_check_character(body: str) -> None:
    assert sum(is_tax_id(body + character) for character in ALPHABET) == 1


@pytest.mark.parametrize("number", ["110105123456789", "44030070846113X"])
def test_the_old_number_of_fifteen_characters_is_valid(number: str) -> None:
    assert is_tax_id(number)


@pytest.mark.parametrize("text", ["", "1", "91110000802100433", "9111000080210043BO", "A10105123456789", "x" * 400])
def test_anything_else_is_not(text: str) -> None:
    assert not is_tax_id(text)


def test_what_people_type_is_read_as_it_is_printed() -> None:
    assert normal_tax_id(" 91440300-7084 61136t ") == "91440300708461136T"
    assert normal_tax_id("９１４４０３００７０８４６１１３６Ｔ") == "91440300708461136T"


@pytest.mark.parametrize("title", ["个人", "上海知音科技有限公司", "ACME Ltd.", "O'Neill & Sons (上海)"])
def test_titles(title: str) -> None:
    assert is_title(title)


@pytest.mark.parametrize("title", ["", "甲", "12345", "--", "a\x00b", "长" * 101])
def test_what_is_no_title(title: str) -> None:
    assert not is_title(title)


def test_what_was_not_given_is_not_wrong() -> None:
    assert invoice_problem(None, None) is None
    assert invoice_problem("上海知音科技有限公司", "91440300 708461136t") is None
    assert invoice_problem("1", "91440300708461136T") == "title_invalid"
    assert invoice_problem(None, "914403007084611361") == "tax_id_invalid"
