import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.normalisation import normalise, tidy

TRICKY = "a1 １ａＡ。，\u200b\ufeff\u00ad\u00a0\u2011–—e\u0301ﬁ㎏½²①⑳3\ufe0f\u20e3"
TRICKY += "👍👨\u200d👩🇨🇳한\u1112\u1161\u11abﾊﾞ\u0958\u09c7\u09be退\ud800\n\t"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("hello 退款", "hello 退款"),
        ("２０２６\u00a0１１０３\u3000００１", "2026 1103 001"),
        ("138\u20100013\u20128000–—−", "138-0013-8000---"),
        ("20\u200b26\u200c11\ufeff03\u00ad001\u2060", "20261103001"),
        ("Ｔ恤", "T恤"),
        ("㎏ ﬁ ℃", "kg fi °C"),
        ("e\u0301", "é"),
        ("\u1112\u1161\u11ab", "한"),
        ("ﾊﾞ", "バ"),
        ("1½ 10²", "1½ 10²"),
        ("①20261103001", " 1 20261103001"),
        ("3\ufe0f\u20e3", "3 "),
        ("sean.o’brien", "sean.o'brien"),
        ("訂單", "訂單"),
        ("a\tb\nc", "a b\nc"),
        ("\u200b\ufeff", ""),
        ("", ""),
    ],
)
def test_everything_reads_one_form(written: str, text: str) -> None:
    assert normalise(written).text == text


@pytest.mark.parametrize("character", ["👍", "é", "退", "Я", "한", "a"])
def test_what_is_plain_already_stays(character: str) -> None:
    assert normalise(character).text == character


@given(st.text(st.one_of(st.sampled_from(TRICKY), st.characters()), max_size=60), st.data())
def test_every_piece_knows_where_it_was_written(written: str, data: st.DataObject) -> None:
    found = normalise(written)
    for start in range(len(found.text)):
        first, last = found.place(start, start + 1)
        assert 0 <= first < last <= len(written)
    if not found.text:
        return
    start = data.draw(st.integers(0, len(found.text) - 1))
    end = data.draw(st.integers(start + 1, len(found.text)))
    first, last = found.place(start, end)
    assert first == found.place(start, start + 1)[0]
    assert last == found.place(end - 1, end)[1]
    # Written again by itself, the piece says the same, but for what merges into what is before it.
    assert found.text[start:end].strip() in normalise(written[first:last]).text or unicodedata.combining(
        unicodedata.normalize("NFKD", found.text[start])[0]
    )


@given(st.text(st.sampled_from("退款，。？！a1 ２ｂ–\u00a0\u200b"), max_size=30))
def test_the_quick_way_gives_what_the_careful_one_gives(written: str) -> None:
    # A ligature at the end leaves nothing to the quick way.
    assert normalise(written).text == normalise(written + "ﬁ").text.removesuffix("fi")


def test_a_name_for_a_form_keeps_its_punctuation() -> None:
    assert tidy("北京（知音）\u200b科技　有限公司") == "北京（知音）科技 有限公司"
    assert tidy("Ｂｌｕｅｐｅａｋ Co., Ltd.") == "Bluepeak Co., Ltd."
