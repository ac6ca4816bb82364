"""A tokenizer that reads traditional characters and spaced-out Chinese; its tokens keep their places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from services.learning.training.normalisation import character_map, read_any_chinese, simplified_characters

WORDS = {"<unk>": 0, "快": 1, "递": 2, "台": 3, "北": 4, "1": 5, "ok": 6}


def character(least: int) -> st.SearchStrategy[str]:
    return st.characters(min_codepoint=least, exclude_categories=["Cs"])


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel(dict(WORDS), unk_token="<unk>"))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return made


def normalised(text: str) -> str:
    changed = read_any_chinese(tokenizer()).normalizer
    assert changed is not None
    return str(changed.normalize_str(text))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("快遞到臺北", "快递到台北"),
        ("我 要　退 款", "我要退款"),
        ("order 退款 ok 啊", "order 退款 ok 啊"),
        ("后面 后 後", "后面后后"),
        ("１２ ok", "12 ok"),
    ],
)
def test_chinese_is_read_alike_however_it_is_written(text: str, read: str) -> None:
    assert normalised(text) == read


def test_tokens_keep_their_places_in_the_text() -> None:
    text = "快 遞１"
    encoding = read_any_chinese(tokenizer()).encode(text)
    assert encoding.ids == [WORDS["快"], WORDS["递"], WORDS["1"]]
    assert [text[start:end].strip() for start, end in encoding.offsets] == ["快", "遞", "１"]


def test_every_traditional_character_is_read_and_no_other_is_changed() -> None:
    forms = simplified_characters()
    assert len(forms) > 2500
    assert forms["龍"] == "龙"
    changed = normalizers.Precompiled(character_map(forms))
    for code in range(0x20, 0xA000):
        assert changed.normalize_str(chr(code)) == forms.get(chr(code), chr(code))


@given(st.dictionaries(character(0x80), st.text(character(1), min_size=1), min_size=1))
def test_any_map_of_characters_is_carried_out(forms: dict[str, str]) -> None:
    changed = normalizers.Precompiled(character_map(forms))
    for old, new in forms.items():
        assert changed.normalize_str(old) == new


def test_the_tokenizer_that_was_given_stays_as_it_was() -> None:
    plain = tokenizer()
    read_any_chinese(plain)
    assert plain.encode("遞").ids == [WORDS["<unk>"]]


def test_it_is_kept_when_the_tokenizer_is_saved() -> None:
    again = Tokenizer.from_str(read_any_chinese(tokenizer()).to_str())
    assert again.encode("遞").ids == [WORDS["递"]]
