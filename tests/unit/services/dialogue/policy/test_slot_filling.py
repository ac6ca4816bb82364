"""Answers to a slot's question: what is a value, what is asked again, what is about something else."""

import pytest

from tests.unit.services.dialogue.talker import Talker


def noting(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("[five](word)", "inform")


def test_a_person_that_is_not_wanted(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("hm", "inform") == ["retry_table"]
    assert talk.says("hm", "inform") == ["offer_person"]
    assert talk.says("no", "deny") == ["ask_table"]
    assert talk.says("hm", "inform") == ["retry_table"]


def test_several_values_where_one_is_wanted(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("[five](word) or [seven](word)", "inform") == ["which_value"]
    assert talk.says("the second one", "inform") == ["good_choice", "ask_note"]
    assert talk.slots["table"] == "seven"


def test_thanks_with_the_answer_is_the_answer(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("hello, [five](word)", "greet") == ["good_choice", "ask_note"]


def test_a_value_does_not_hide_the_wish_for_a_person(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("[five](word)? a human please", "ask_human") == ["person_comes"]


@pytest.mark.parametrize(
    ("text", "intent", "confidence", "replies"),
    [
        ("by the window", "inform", 0.9, ["confirm_booking"]),
        ("something with pay", "pay", 0.9, ["confirm_booking"]),
        ("weather is fine", "out_of_scope", 0.9, ["confirm_booking"]),
        ("a table outside", "book", 0.9, ["confirm_booking"]),
        ("who knows", "pay", 0.2, ["confirm_booking"]),
        ("can I pay?", "pay", 0.9, ["ask_way"]),
        ("can I pay?", "pay", 0.6, ["confirm_booking"]),
        ("a human", "ask_human", 0.9, ["person_comes"]),
        ("a human", "ask_human", 0.6, ["confirm_booking"]),
        ("hello", "greet", 0.9, ["hello", "resume", "ask_note"]),
        ("no need", "deny", 0.9, ["confirm_booking"]),
        ("never mind", "stop", 0.9, ["confirm_booking"]),
        ("yes", "affirm", 0.9, ["ask_note"]),
        ("x", "inform", 0.9, ["ask_note"]),
        ("x" * 21, "inform", 0.9, ["ask_note"]),
        ("x" * 21, "out_of_scope", 0.9, ["out_of_scope", "resume", "ask_note"]),
        ("x" * 21, "pay", 0.9, ["ask_way"]),
    ],
)
def test_what_is_a_value_and_what_is_not(
    talk: Talker, text: str, intent: str, confidence: float, replies: list[str]
) -> None:
    noting(talk)
    assert talk.says(text, intent, confidence=confidence) == replies


def test_an_optional_slot_is_skipped(talk: Talker) -> None:
    noting(talk)
    assert talk.clicks("skip") == ["confirm_booking"]
    assert talk.slots["note"] is None
    talk.clicks("yes")
    assert talk.last is not None
    assert talk.last.actions[0].arguments == {"table": "five"}


def test_own_words_have_a_form_too(talk: Talker) -> None:
    talk.says("paying", "pay")
    assert talk.clicks("value:way:1") == ["ask_address"]
    assert talk.slots["way"] == "Card"
    assert talk.says("somewhere", "inform") == ["ask_address"]
    assert talk.says("let me book", "book") == ["ask_table"]
    talk.says("never mind", "stop")
    assert talk.says("Main Street 5", "inform") == ["pay_card"]


def test_a_value_beside_a_question_for_a_document_is_still_the_answer(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("[five](word), when are you open?", "faq_hours") == ["good_choice", "ask_note"]


def test_what_will_be_needed_may_come_early(talk: Talker) -> None:
    talk.says("paying", "pay")
    assert talk.says("card, to [Main Street 5](address)", "inform") == ["pay_card"]
    talk.says("paying", "pay")
    assert talk.says("[Main Street 5](address)", "inform") == ["ask_way"]
    assert talk.says("card", "inform") == ["pay_card"]


def offered(talk: Talker) -> list[str | None]:
    return [option.value for option in talk.state.options]


@pytest.mark.parametrize("intent", ["inform", "deny", "stop", "correct", "book"])
@pytest.mark.parametrize(
    "text", ["not [five](word), please", "anything but [five](word)", "不要[five](word)", "不是[five](word)"]
)
def test_what_is_not_meant_is_not_taken(talk: Talker, text: str, intent: str) -> None:
    talk.says("a table please", "book")
    assert "five" in offered(talk)
    assert talk.says(text.replace("not [", "not the ["), intent) == ["ask_table"]
    assert "five" not in offered(talk)
    assert talk.says("not the [seven](word)", intent) == ["ask_table"]
    assert {"five", "seven"}.isdisjoint(offered(talk))
    assert talk.says("[five](word)", "inform") == ["good_choice", "ask_note"]


@pytest.mark.parametrize("intent", ["inform", "deny", "correct"])
@pytest.mark.parametrize(
    "text",
    [
        "not the [five](word), [seven](word)",
        "not the [five](word) but [seven](word)",
        "[seven](word), not the [five](word)",
        "不是[five](word)，是[seven](word)",
        "不要[five](word)，要[seven](word)",
    ],
)
def test_what_is_meant_instead_is_taken(talk: Talker, text: str, intent: str) -> None:
    talk.says("a table please", "book")
    assert talk.says(text, intent) == ["good_choice", "ask_note"]
    assert talk.slots["table"] == "seven"


@pytest.mark.parametrize("intent", ["inform", "deny", "correct", "stop"])
@pytest.mark.parametrize(
    "text",
    [
        "不是上海，是[杭州市西湖区文三路478号](address)",
        "不是[上海](address)，是[杭州市西湖区文三路478号](address)",
        "不是上海，是杭州市西湖区文三路478号",
        "不对，是杭州市西湖区文三路478号",
        "不对，应该是[杭州市西湖区文三路478号](address)",
        "no, I meant 杭州市西湖区文三路478号",
        "not Shanghai, it's 杭州市西湖区文三路478号",
        "sorry, 杭州市西湖区文三路478号",
    ],
)
def test_a_correction_of_what_is_asked_keeps_the_rest(talk: Talker, text: str, intent: str) -> None:
    talk.says("I want to pay", "pay")
    assert talk.says("Card", "inform") == ["ask_address"]
    assert talk.says(text, intent) == ["pay_card"]
    assert "bill to 杭州市西湖区文三路478号" in talk.text() or "杭州市西湖区文三路478号" in talk.text()


def test_a_correction_without_a_value_is_about_what_was_given_before(talk: Talker) -> None:
    talk.says("I want to pay", "pay")
    talk.says("Card", "inform")
    assert talk.says("不对", "correct") == ["corrected", "ask_way"]


def test_another_value_for_what_was_given_is_no_free_text(talk: Talker) -> None:
    noting(talk)
    assert talk.says("算了还是[seven](word)", "inform") == ["corrected", "good_choice", "ask_note"]
    assert talk.slots == {"table": "seven"}
    assert talk.says("[five](word)", "inform") == ["corrected", "good_choice", "ask_note"]
    assert talk.says("bring [seven](word) chairs", "inform") == ["confirm_booking"]
    assert talk.slots == {"table": "five", "note": "bring seven chairs"}


def test_a_request_is_no_free_text(talk: Talker) -> None:
    noting(talk)
    assert talk.says("show me your opening hours", "faq_hours") == ["faq_answer", "resume", "ask_note"]
