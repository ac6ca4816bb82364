from datetime import date

import pytest

from shared.nlu.bio_tags import TaggedSpan
from shared.nlu.entities.merging import merge_entities
from shared.nlu.entities.patterns import find_patterns
from shared.nlu.normalisation import normalise

TODAY = date(2026, 11, 22)


def merged(text: str, *tagged: tuple[str, str]) -> list[tuple[str, str, str]]:
    spans = [TaggedSpan(name, text.index(part), text.index(part) + len(part), 0.9) for name, part in tagged]
    entities = merge_entities(text, find_patterns(normalise(text), TODAY), spans)
    assert all(text[each.start : each.end] == each.text for each in entities)
    return [(each.name, each.text, each.source) for each in entities]


def test_patterns_and_model_side_by_side_in_order() -> None:
    assert merged("昨天寄到北京路1号", ("address", "北京路1号")) == [
        ("date", "昨天", "pattern"),
        ("address", "北京路1号", "model"),
    ]


def test_a_day_within_a_longer_address_is_part_of_the_address() -> None:
    assert merged("寄到长安 3号 院", ("address", "长安 3号 院")) == [("address", "长安 3号 院", "model")]


def test_a_day_that_is_longer_than_what_the_model_sees_stays() -> None:
    assert merged("11月3日", ("address", "3日")) == [("date", "11月3日", "pattern")]


def test_a_phone_number_is_cut_off_an_address() -> None:
    text = "北京路1号，13800000001"
    assert merged(text, ("address", text)) == [
        ("address", "北京路1号", "model"),
        ("phone", "13800000001", "pattern"),
    ]


def test_the_longer_rest_stays_when_a_pattern_is_in_the_middle() -> None:
    text = "张三 13800000001 北京市朝阳区北京路1号"
    assert merged(text, ("address", text)) == [
        ("phone", "13800000001", "pattern"),
        ("address", "北京市朝阳区北京路1号", "model"),
    ]


def test_what_the_model_calls_otherwise_and_a_pattern_covers_is_the_patterns() -> None:
    assert merged("20261103001", ("address", "20261103001")) == [("order_number", "20261103001", "pattern")]


def test_punctuation_at_the_edges_is_no_part() -> None:
    assert merged("抬头：知音公司。", ("company", "：知音公司。")) == [("company", "知音公司", "model")]


def test_nothing_but_punctuation_is_nothing() -> None:
    assert merged("……，。", ("company", "，。")) == []


def test_blanks_in_a_value_are_made_one() -> None:
    [entity] = merge_entities("12  Elm\tStreet", [], [TaggedSpan("address", 0, 14, 0.5)])
    assert (entity.value, entity.text, entity.confidence) == ("12 Elm Street", "12  Elm\tStreet", 0.5)


def test_a_name_in_which_the_model_begins_anew_is_one() -> None:
    text = "Bluepeak Trading Co., Ltd."
    assert merged(text, ("company", "Bluepeak Trading Co"), ("company", "Ltd.")) == [("company", text, "model")]
    assert merged(text, ("company", "Bluepeak Trading Co"), ("company", "Ltd")) == [("company", text, "model")]


@pytest.mark.parametrize(
    ("text", "seen", "whole"),
    [
        ("the title is Bluepeak Ltd.", "Bluepeak Ltd", "Bluepeak Ltd."),
        ("for Acme Inc. please", "Acme Inc", "Acme Inc."),
        ("Acme Pty. Ltd.，谢谢", "Acme Pty. Ltd", "Acme Pty. Ltd."),
        ("Smith Bros. in London", "Smith Bros", "Smith Bros."),
        ("Telefonica S.A.", "Telefonica S.A", "Telefonica S.A."),
        ("for Acme Trading.", "Acme Trading", "Acme Trading"),
        ("for Acme Trading.", "Acme Trading.", "Acme Trading"),
        ("Acme Ltd.com", "Acme Ltd", "Acme Ltd"),
        ("抬头是知音公司。", "知音公司。", "知音公司"),
    ],
)
def test_the_full_stop_of_a_company_form_is_part_of_the_name(text: str, seen: str, whole: str) -> None:
    assert merged(text, ("company", seen)) == [("company", whole, "model")]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("北京（知音）\u200b科技有限公司", "北京（知音）科技有限公司"),
        ("Ａｃｍｅ\u00a0Inc", "Acme Inc"),
        ("文三路４７８号", "文三路478号"),
    ],
)
def test_a_value_has_nothing_invisible_and_keeps_its_punctuation(written: str, value: str) -> None:
    [entity] = merge_entities(written, [], [TaggedSpan("company", 0, len(written), 0.9)])
    assert (entity.text, entity.value) == (written, value)


def test_a_list_is_of_several() -> None:
    assert merged("知音公司、蓝鲸公司", ("company", "知音公司"), ("company", "蓝鲸公司")) == [
        ("company", "知音公司", "model"),
        ("company", "蓝鲸公司", "model"),
    ]
    assert merged("Acme Inc 12 Elm Street", ("company", "Acme Inc"), ("address", "12 Elm Street")) == [
        ("company", "Acme Inc", "model"),
        ("address", "12 Elm Street", "model"),
    ]
