"""Characters of people's words: what is refused, what is taken away and what stays."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.texts import PATTERN, is_name, legible


@pytest.mark.parametrize(
    "text",
    [
        "退款",
        "refund, please!",
        "first line\nsecond\tline",
        "👍",
        "👍🏽",
        "3️⃣",
        "❤️",
        "👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 ❤️‍🔥",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",
        "क\u094d\u200dष",
        "Ｔ恤　１２",
        "café naïve",
        "e\u0301",
        "葛\U000e0100",
        "١٢٣ שלום",
        "\u2026",
        "🫨",
        "%E2%80%AE <b>x</b> \\u202e",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert legible(text) == text
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("\u202d13800138000\u202c", "13800138000"),
        ("order \u202e300301\u202c", "order 300301"),
        ("\u2066x\u2069\u200e\u200f\u061c", "x"),
        ("re\u200bfund\ufeff\u2060", "refund"),
        ("soft\u00adhyphen", "softhyphen"),
        ("re\u200dfund", "refund"),
        ("退\u200c款", "退款"),
        ("\u200d退款\u200d", "退款"),
        ("hi\U000e0068\U000e0069\U000e007f", "hi"),
        ("👍\u200d", "👍"),
        ("👍 \u200b", "👍 "),
    ],
)
def test_what_deceives_is_taken_away(text: str, kept: str) -> None:
    assert legible(text) == kept
    assert legible(kept) == kept


@pytest.mark.parametrize("code", [*range(9), 11, 12, *range(14, 32), 127, *range(128, 160), 0xFFFE, 0xFFFF, 0x1FFFE])
def test_control_characters_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="control character"):
        legible(f"a{chr(code)}b")
    assert not is_name(f"a{chr(code)}b")


@pytest.mark.parametrize(
    "text",
    [
        "\u200b",
        "\ufeff\u2060",
        "\u202e\u202c",
        " \t\n",
        "\u3000",
        "\u200d",
        "\ufe0f",
        "\u3164",
        "\u2800 \u115f",
        "\u00ad",
        "",
    ],
)
def test_what_shows_nothing_is_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="nothing that can be seen"):
        legible(text)
    assert not re.search(PATTERN, text)
    assert not is_name(text)


@pytest.mark.parametrize("name", ["李雷", "Anne-Marie O'Neil", "José", "张伟 🙂", "👩‍💻", "علی\u200cرضا", "Ⅷ"])
def test_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Ad\u200bmin",
        "Admin\u202e",
        "\u2066Admin\u2069",
        "Ad\u200dmin",
        "A\nB",
        "A\tB",
        "A\u2028B",
        "Admin\u3164",
        "\x1b[31mA",
        "Ad\u00admin",
    ],
)
def test_no_name(name: str) -> None:
    assert not is_name(name)


@given(st.text(max_size=60))
def test_what_is_kept_is_kept_a_second_time_and_has_no_controls(text: str) -> None:
    try:
        kept = legible(text)
    except ValueError:
        return
    assert legible(kept) == kept
    assert not any(unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\t" for each in kept)
    assert len(kept) <= len(text)
