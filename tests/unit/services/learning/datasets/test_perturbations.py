"""Changed texts: what each change does, and that a seed decides it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypinyin import lazy_pinyin

from services.learning.datasets.perturbations import PERTURBATIONS

TEXTS = st.text(st.sampled_from("我的快递到哪了退款 where is my order 20261103001，。?!😀"), min_size=1, max_size=40)


def changed(name: str, text: str, seed: int = 1) -> str:
    return PERTURBATIONS[name](text, random.Random(seed))


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("full_width", "退款 20261103001 ok?", "退款\u3000２０２６１１０３００１\u3000ｏｋ？"),
        ("traditional", "请问快递到哪了", "請問快遞到哪了"),
        ("spaces", "我要退款 ok，谢谢", "我 要 退 款 ok，谢 谢"),
        ("no_punctuation", "你好，I'm here!", "你好Im here"),
        ("no_punctuation", "？！", "？！"),
        ("upper_case", "退款 please", "退款 PLEASE"),
        ("mixed", "我要退款", "我要 refund"),
        ("mixed", "I want a refund", "I want a 退款"),
        ("mixed", "refunding", "refunding"),
    ],
)
def test_what_a_change_does(name: str, text: str, wanted: str) -> None:
    assert changed(name, text) == wanted


@given(st.integers())
def test_homophones_sound_alike(seed: int) -> None:
    text = "我的快递到现在还没有影子呢"
    heard = changed("homophones", text, seed)
    assert 1 <= sum(a != b for a, b in zip(text, heard, strict=True)) <= 2
    for old, new in zip(text, heard, strict=True):
        assert lazy_pinyin(old)[0] == lazy_pinyin(new)[0] or old == new


@given(st.integers(), st.sampled_from(["快递到哪了", "where is my parcel"]))
def test_a_typo_swaps_drops_or_doubles_one_character(seed: int, text: str) -> None:
    typed = changed("typos", text, seed)
    assert abs(len(typed) - len(text)) <= 1
    assert set(typed) <= set(text)


@given(st.integers())
def test_emoji_come_at_the_end(seed: int) -> None:
    assert changed("emoji", "谢谢", seed).startswith("谢谢")
    assert changed("emoji", "谢谢", seed) != "谢谢"


@given(TEXTS, st.sampled_from(sorted(PERTURBATIONS)), st.integers())
def test_no_text_is_lost_and_a_seed_decides(text: str, name: str, seed: int) -> None:
    assert changed(name, text, seed)
    assert changed(name, text, seed) == changed(name, text, seed)
