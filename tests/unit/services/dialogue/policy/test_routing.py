"""What a message begins that answers no question."""

from services.dialogue.policy.state import Finished, State
from tests.unit.services.dialogue.talker import Talker, booked


def test_a_document_answers_and_the_flow_goes_on(talk: Talker) -> None:
    booked(talk)
    assert talk.says("when are you open?", "faq_hours") == ["faq_answer", "resume", "confirm_booking"]
    assert talk.last is not None
    assert talk.last.replies[0].source == "hours"
    assert "From nine to six." in talk.text()
    assert talk.clicks("yes") == ["booked"]


def test_another_flow_and_back(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("let me pay first", "pay") == ["ask_way"]
    assert talk.says("cash", "inform") == ["pay_cash", "resume", "ask_table"]


def test_what_is_asked_for_again_is_gone_back_to(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("let me pay first", "pay")
    assert talk.says("book [five](word)", "book") == ["good_choice", "ask_note"]
    assert len(talk.state.frames) == 1
    assert talk.says("can I pay first?", "pay") == ["ask_way"]
    assert talk.says("book [seven](word)", "book") == ["good_choice", "ask_note"]
    assert talk.slots == {"table": "seven"}


def test_after_the_end_a_correction_begins_again(talk: Talker) -> None:
    talk.says("paying", "pay")
    talk.says("cash", "inform")
    assert talk.state.frames == ()
    assert talk.says("no, that is wrong", "correct") == ["corrected", "ask_way"]


def test_after_an_action_nothing_is_corrected(talk: Talker) -> None:
    booked(talk)
    talk.clicks("yes")
    assert talk.says("no, the other table", "correct") == ["already_submitted"]
    assert talk.state.frames == ()


def test_a_correction_of_nothing(talk: Talker) -> None:
    assert talk.says("no, that is wrong", "correct") == ["acknowledged"]
    talk.says("paying", "pay")
    talk.says("cash", "inform")
    for _ in range(4):
        talk.says("hello", "greet")
    assert talk.says("no, that is wrong", "correct") == ["acknowledged"]


def test_nothing_of_what_has_ended_can_be_corrected(talk: Talker) -> None:
    talk.state = State(finished=Finished(flow="pay", slots={"way": None}, committed=False, turn=0))
    assert talk.says("that is wrong", "correct") == ["acknowledged"]
    assert talk.state.frames == ()


def test_unclear_is_asked_about_then_a_person_is_offered(talk: Talker) -> None:
    assert talk.says("hm", "pay", "book", confidence=0.4) == ["clarify"]
    assert [option.intent for option in talk.state.options] == ["pay", "book"]
    assert talk.says("hm", "deny", "stop", confidence=0.4) == ["offer_person"]
    assert talk.says("yes", "affirm") == ["person_comes"]


def test_nothing_to_ask_about(talk: Talker) -> None:
    assert talk.says("hm", "inform", "greet", confidence=0.4) == ["not_understood"]
    assert talk.says("hm", "inform", "greet", confidence=0.4) == ["offer_person"]
    assert talk.says("hello", "greet") == ["hello"]
    assert talk.state.misses == 0


def test_an_intent_that_the_files_do_not_know(talk: Talker) -> None:
    assert talk.says("new", "brand_new") == ["not_understood"]


def test_out_of_scope_is_said_honestly(talk: Talker) -> None:
    assert talk.says("weather", "out_of_scope") == ["out_of_scope"]
    assert talk.says("yes", "affirm") == ["person_comes"]


def test_a_bare_value_is_asked_about(talk: Talker) -> None:
    assert talk.says("[five](word)", "inform") == ["what_about_it"]
    assert talk.clicks("intent:book") == ["good_choice", "ask_note"]


def test_a_value_is_remembered_for_a_while(talk: Talker) -> None:
    talk.says("[five](word)", "inform")
    talk.says("hello", "greet")
    assert talk.says("book it", "book") == ["good_choice", "ask_note"]
    talk.says("never mind", "ask_human")
    for _ in range(7):
        talk.says("hello", "greet")
    assert talk.says("book it", "book") == ["ask_table"]
