"""Names: one form for all spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.login.accounts import normalise_display_name, normalise_username
from shared.errors import InvalidInput

LETTERS = st.sampled_from("abcxyz0189李雷韩梅梅")


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("LiLei", "lilei"),
        ("ＬｉＬｅｉ１", "lilei1"),
        ("li.lei@example.cn", "li.lei@example.cn"),
        ("李小雷", "李小雷"),
        ("7up-fan_1", "7up-fan_1"),
        ("a" * 64, "a" * 64),
        ("Straße", "strasse"),
        ("李雷", "李雷"),
        ("  LiLei\u3000", "lilei"),
        ("\tlilei\n", "lilei"),
    ],
)
def test_spellings_become_one_name(given_name: str, name: str) -> None:
    assert normalise_username(given_name) == name


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "ab",
        "a" * 65,
        "李",
        "a李",
        "李.",
        " ab ",
        "li\u200blei",
        "li lei",
        "li\0lei",
        "😀😀😀",
        "li😀lei",
        ".lilei",
        "-lilei",
        "@lilei",
        "ліlei",
        "li/lei",
        "../../etc",
        "half\ud800pair",
        "josé",
    ],
)
def test_other_names_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        normalise_username(bad)
    assert raised.value.errors[0].field == "username"


@given(st.text(max_size=80) | st.text(LETTERS, min_size=3, max_size=64))
def test_a_normal_name_stays_as_it_is(text: str) -> None:
    try:
        name = normalise_username(text)
    except InvalidInput:
        return
    assert 3 <= len(name) <= 64
    assert normalise_username(name) == name
    assert normalise_username(name.upper()) == name


@pytest.mark.parametrize(
    ("shown", "name"), [(" 李雷 ", "李雷"), ("Li Lei 😀", "Li Lei 😀"), ("e\u0301", "é"), ("x" * 64, "x" * 64)]
)
def test_display_names_are_trimmed(shown: str, name: str) -> None:
    assert normalise_display_name(shown) == name


@pytest.mark.parametrize(
    "bad", ["", "  ", "a\nb", "a\0b", "a\u2028b", "\ud800", "x" * 65, "Ad\u200bmin", "\u202enimdA", "\u3164"]
)
def test_display_names_that_cannot_be_shown_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        normalise_display_name(bad)
    assert raised.value.errors[0].field == "display_name"
