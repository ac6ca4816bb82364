"""The table of answers, each with the reading that a person would give it."""

import pytest

from services.dialogue.policy.answers import Meaning, read_answer
from shared.nlu.reading import plain
from tests.unit.services.dialogue.policy.answer_table import ANSWERS, NO, SHOWN, YES

MEANINGS = {
    "yes": {(Meaning.YES, True)},
    "no": {(Meaning.NO, True), (Meaning.NO, False)},
    "more": {(Meaning.YES, False)},
    "other": {(Meaning.OTHER, True), (Meaning.OTHER, False)},
} | {name: {(Meaning(name), True), (Meaning(name), False)} for name in ("question", "unsure", "change")}


def test_the_table_is_large_and_says_nothing_twice() -> None:
    said = [text for texts in ANSWERS.values() for text in texts]
    assert len(said) >= 1000
    assert len(said) == len(set(said))


@pytest.mark.parametrize("meaning", ANSWERS)
def test_reading(meaning: str) -> None:
    read = {text: read_answer(plain(text), yes=YES, no=NO, shown=SHOWN) for text in ANSWERS[meaning]}
    assert {text: each for text, each in read.items() if (each.meaning, each.plain) not in MEANINGS[meaning]} == {}


def test_the_titles_of_other_buttons_say_nothing() -> None:
    assert read_answer("保留订单", no=["保留订单"]).plain_no
    assert read_answer("保留订单").meaning is Meaning.OTHER
    assert read_answer("Keep it!", no=["Keep it"]).plain_no


@pytest.mark.parametrize("text", ["好的，不想要了", "嗯，不想要了", "不想要了", "yes, don't need it"])
def test_a_value_that_sounds_like_a_no_leaves_open_what_is_meant(text: str) -> None:
    shown = ["20261103002", "不想要了", "don't need it"]
    assert read_answer(plain(text), shown=shown).meaning is Meaning.OTHER
    assert read_answer(plain("好的，20261103002"), shown=shown).plain_yes


def test_a_long_sentence_is_no_plain_answer() -> None:
    assert not read_answer("好的" * 100).plain
    assert read_answer("xy" * 5000).meaning is Meaning.OTHER
