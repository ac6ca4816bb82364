from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import Assistant, load_assistant
from services.dialogue.assistant.values import QuickReply, Say
from tests.unit.services.dialogue.assistants import REPLIES, write_assistant

EN = (
    REPLIES
    + """
menu:
  text: 'Menu of {day}:'
  lines: {of: menu.dishes, line: '- {name}, {price:money}'}
words: {text: Words, lines: {of: words, line: '- {item}'}}
"""
)
ZH = EN.replace("Menu of {day}:", "{day}的菜单：").replace("hello: [Hello!, Hi!]", "hello: [你好！]")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    return load_assistant(write_assistant(tmp_path_factory.mktemp("mini"), en=EN, zh=ZH))


def test_wordings_take_turns_and_the_same_turn_has_the_same(mini: Assistant) -> None:
    texts = [mini.render(Say(name="hello", language="en", variant=turn)).text for turn in range(4)]
    assert texts[:2] == texts[2:]
    assert set(texts) == {"Hello!", "Hi!"}
    assert mini.render(Say(name="hello", language="zh", variant=1)).text == "你好！"


def test_an_unknown_language_gets_the_default_one(mini: Assistant) -> None:
    assert mini.render(Say(name="pay_cash", language="fr")).text == "Cash it is."


def test_lists_have_a_line_for_each_item(mini: Assistant) -> None:
    dishes = [{"name": {"zh": "茶", "en": "tea"}, "price": 8}, {"name": "rice", "price": "2.5"}]
    variables = {"day": "today", "menu.dishes": dishes}
    say = Say(name="menu", language="en", variables=variables)
    assert mini.render(say).text == "Menu of today:\n- tea, CN¥8.00\n- rice, CN¥2.50"
    assert mini.render(say.model_copy(update={"language": "zh"})).text == "today的菜单：\n- 茶, ¥8.00\n- rice, ¥2.50"


@pytest.mark.parametrize(("words", "count"), [(["a", 1, None], 3), (["x"] * 30, 10), ("no list", 0), (None, 0)])
def test_a_list_is_bounded_and_may_be_none(mini: Assistant, words: object, count: int) -> None:
    say = Say.model_validate({"name": "words", "language": "en", "variables": {"words": words}})
    assert len(mini.render(say).text.splitlines()) == 1 + count


def test_quick_replies_are_titled_in_the_language_of_the_reply(mini: Assistant) -> None:
    option = QuickReply(id="value:x:1", titles={"en": "One"}, value="1")
    offered = mini.render(Say(name="ask_note", language="en", options=(option,))).options
    assert [(each.id, each.title) for each in offered] == [("value:x:1", "One")]
    offered = mini.render(Say(name="ask_note", language="zh", options=(option,))).options
    assert [(each.id, each.title) for each in offered] == [("value:x:1", "value:x:1")]


def test_the_source_of_an_answer_goes_with_it(mini: Assistant) -> None:
    say = Say(name="faq_answer", language="en", variables={"answer": "Yes.", "title": "Hours"}, source="hours")
    rendered = mini.render(say)
    assert (rendered.text, rendered.source) == ("faq_answer Yes. Hours", "hours")


def test_options_have_their_titles_in_every_language() -> None:
    shop = load_assistant(Path(__file__).parents[5] / "assistants" / "shop")
    assert [(option.id, option.titles) for option in shop.replies.options("confirm_cancel")] == [
        ("yes", {"zh": "确认取消", "en": "Yes, cancel it"}),
        ("no", {"zh": "保留订单", "en": "Keep it"}),
    ]


def test_every_reply_of_the_demo_is_in_both_languages_and_differs() -> None:
    shop = load_assistant(Path(__file__).parents[5] / "assistants" / "shop")
    zh, en = shop.replies.languages["zh"], shop.replies.languages["en"]
    assert zh.keys() == en.keys()
    for name in zh:
        assert len(zh[name].text) == len(en[name].text), name
        assert zh[name].names == en[name].names or name == "ask_tax_id", name
