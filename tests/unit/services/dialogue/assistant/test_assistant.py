from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.values import Say
from tests.unit.services.dialogue.assistants import MANIFEST, REPLIES, flows, load, mistakes, write_assistant

SHOP = Path(__file__).parents[5] / "assistants" / "shop"


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_the_demo_assistant_loads() -> None:
    shop = load_assistant(SHOP)
    assert shop.name == "shop"
    assert shop.languages == ("zh", "en")
    assert {"refund", "track_order", "ask_human"} <= set(shop.flows)
    assert len(shop.faq) == 8
    assert all(
        shop.answers(intent)
        for intent in shop.intents - {"affirm", "deny", "stop", "correct", "inform", "wait"} - {"out_of_scope"}
    )


def test_a_small_assistant_loads(tmp_path: Path) -> None:
    mini = load(tmp_path)
    assert mini.title == {"zh": "小店", "en": "Mini"}
    assert mini.thresholds.clarify == 0.5
    assert mini.title_of("book") == {"zh": "订位", "en": "Booking"}
    assert mini.title_of("faq_hours") == {"zh": "营业时间", "en": "Opening hours"}
    assert mini.title_of("greet") is None
    assert mini.title_of("nothing") is None
    assert mini.faq["faq_hours"].answers == {"zh": "九点到六点。", "en": "From nine to six."}


def test_another_company_has_its_own_days_and_currency(tmp_path: Path) -> None:
    replies = REPLIES.replace("Good choice, {chosen.number}.", "'{chosen.price:money}, {chosen.at:date}.'")
    assert replies != REPLIES
    write_assistant(tmp_path, en=replies, zh=replies, manifest=MANIFEST + "timezone: Asia/Shanghai\ncurrency: CNY\n")
    mini = load_assistant(tmp_path)
    say = Say(name="good_choice", language="en", variables={"chosen.price": 5, "chosen.at": "2026-11-26T17:30:00Z"})
    assert mini.render(say).text == "CN¥5.00, Nov 27."
    assert mini.of(timezone="America/New_York", currency="USD").render(say).text == "$5.00, Nov 26."
    assert mini.of(currency="USD").render(say).text == "$5.00, Nov 27."
    assert mini.of().render(say) == mini.render(say)
    with pytest.raises(ValueError, match="there is no time zone"):
        mini.of(timezone="Nowhere/City")


def test_a_currency_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    [line] = mistakes(tmp_path, manifest=MANIFEST + "currency: ABZ\n")
    assert line == "assistant.yml: there is no currency 'ABZ'; one is, for example, 'CNY'"


def test_the_line_is_the_one_in_which_it_stands(tmp_path: Path) -> None:
    text = flows("reply: good_choice", "reply: god_choice")
    assert mistakes(tmp_path, flows=text)[0].startswith(f"flows/all.yml:{line_of(text, 'reply: god_choice')}: ")


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("hello: [Hello!, Hi!]", "", "the reply 'hello' is there in zh, but not in en"),
        ("pay_cash: Cash it is.", "pay_cash: Cash {it} is.", "there is no value 'it' here"),
        ("pay_cash: Cash it is.", "pay_cash: Cash {it is.", "a brace that stands for itself is written twice"),
        ("pay_cash: Cash it is.", "pay_cash: {text: []}", "at least 1 item"),
        ("pay_cash: Cash it is.", "pay_cash: {txt: x}", "'txt' is not known here; did you mean 'text'?"),
        ("pay_cash: Cash it is.", "pay_cash: 7", "Input should be a valid dictionary"),
        (
            "pay_cash: Cash it is.",
            "pay_cash: {text: x, options: [{title: x, intent: bok}]}",
            "nothing answers 'bok'; did you mean 'book'?",
        ),
        ("pay_cash: Cash it is.", "pay_cash: {text: x, options: [{title: x}]}", "either an intent or a choice"),
        (
            "pay_cash: Cash it is.",
            "pay_cash: {text: x, options: [{title: x, intent: book}]}",
            "'pay_cash' offers something else in zh",
        ),
    ],
)
def test_a_mistake_in_a_reply_is_named(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    found = mistakes(tmp_path, en=REPLIES.replace(old, new))
    assert any(mistake in line for line in found), found
