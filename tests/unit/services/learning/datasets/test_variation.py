"""Varied utterances: other looks, the same meaning, and spans that still point at their values."""

import random
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.learning.datasets.variation import Variation
from shared.nlu.training_data import Span, Utterance

ADDRESSES = ("1 Elm Street", "22 Oak Road, Leeds", "9 Hill")
SENT = Utterance(
    "please send order 20261103001 to 1 Elm Street not to 9 Hill",
    "en",
    "change_address",
    spans=(Span("address", 33, 45), Span("address", 53, 59)),
)
VARIATION = Variation({("en", "address"): ADDRESSES})


@given(st.integers())
def test_spans_hold_a_known_value_after_every_change(seed: int) -> None:
    (varied,) = VARIATION.vary([SENT], random.Random(seed))
    values = [varied.text[s.start : s.end].casefold() for s in varied.spans]
    assert len(values) == 2
    assert set(values) <= {address.casefold() for address in ADDRESSES}
    assert (varied.intent, varied.language) == (SENT.intent, SENT.language)


@given(st.integers())
def test_only_values_are_exchanged_where_nothing_else_shall_vary(seed: int) -> None:
    (varied,) = Variation.of([SENT], only_values=True).vary([SENT], random.Random(seed))
    around = re.split("1 Elm Street|9 Hill", varied.text)
    assert around == ["please send order 20261103001 to ", " not to ", ""]
    assert [varied.text[s.start : s.end] in ("1 Elm Street", "9 Hill") for s in varied.spans] == [True, True]


@given(st.integers())
def test_order_numbers_stay_order_numbers(seed: int) -> None:
    (varied,) = VARIATION.vary([SENT], random.Random(seed))
    assert re.findall(r"\d{5,}", varied.text)[0].startswith("2026")
    assert len(re.findall(r"\d{5,}", varied.text)[0]) == 11


@given(st.integers(), st.sampled_from(["快递到哪了？", "88", "！", "退款"]))
def test_chinese_is_mistyped_a_little_or_not(seed: int, text: str) -> None:
    (varied,) = VARIATION.vary([Utterance(text, "zh", "greet")], random.Random(seed))
    assert varied.text.strip()
    assert abs(len(varied.text) - len(text)) <= 4


def test_most_of_chinese_stays_and_slips_come_up() -> None:
    texts = [
        VARIATION.vary([Utterance("快递到哪了", "zh", "greet")], random.Random(seed))[0].text for seed in range(200)
    ]
    whole = sum(text.startswith("快递到哪了") for text in texts)
    assert 90 < whole < 180


@given(st.integers(), st.sampled_from([(0, 3), (2, 4), (3, 6)]))
def test_a_slip_spares_entities(seed: int, place: tuple[int, int]) -> None:
    text = "寄到北京路谢谢你们"
    value = text[slice(*place)]
    utterance = Utterance(text, "zh", "change_address", spans=(Span("address", *place),))
    (varied,) = VARIATION.vary([utterance], random.Random(seed))
    (span,) = varied.spans
    assert varied.text[span.start : span.end] == value


def test_an_epoch_brings_many_looks_and_another_epoch_others() -> None:
    looks = {VARIATION.vary([SENT], random.Random(seed))[0].text for seed in range(50)}
    assert len(looks) > 40
    assert any(look.islower() for look in looks)
    assert VARIATION.vary([SENT], random.Random(5)) == VARIATION.vary([SENT], random.Random(5))


def test_values_come_from_utterances_of_the_same_language() -> None:
    other = Utterance("寄到北京路", "zh", "change_address", spans=(Span("address", 2, 5),))
    variation = Variation.of([SENT, other, replace(SENT, text=SENT.text.replace("Hill", "Moor"))])
    assert variation.values == {
        ("en", "address"): ("1 Elm Street", "9 Hill", "9 Moor"),
        ("zh", "address"): ("北京路",),
    }
