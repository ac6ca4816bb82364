"""A conversation goes on with another release: nothing is passed over, nothing is done twice, and it is said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.values import QuickReply, Say
from services.dialogue.policy.decision import ActionFinished, Origin, SessionExpired, UnderstandingUnavailable
from services.dialogue.policy.state import Pending, State
from tests.unit.services.dialogue.assistants import FLOWS, REPLIES, flows, write_assistant
from tests.unit.services.dialogue.talker import Talker, booked, finished

Publish = Callable[..., None]

SHIFTED = flows("  - collect: note\n  - confirm", "  - collect: note\n  - reply: hello\n  - confirm")
"""The action stands at another place."""
GOES_ON = flows("  - collect: note\n  - confirm", "  - confirm").replace(
    "---\nflow: pay", "  - collect: note\n---\nflow: pay"
)
"""The flow is still under way when its action was asked for."""


@pytest.fixture
def publish(talk: Talker, tmp_path: Path) -> Publish:
    def another(text: str = FLOWS, **files: str) -> None:
        talk.assistant = load_assistant(write_assistant(tmp_path, flows=text, **files))

    return another


def test_a_flow_with_other_steps_begins_anew_and_it_is_said(talk: Talker, publish: Publish) -> None:
    booked(talk)
    publish(SHIFTED)
    assert talk.says("yes", "affirm") == ["flow_changed", "ask_table"]
    assert talk.slots == {}
    assert talk.says("[five](word)", "inform") == ["good_choice", "ask_note"]
    assert talk.says("by the window", "inform") == ["hello", "confirm_booking"]
    assert talk.says("yes", "affirm") == ["booked"]


@pytest.mark.parametrize("choice", ["yes", "no", "value:table:five"])
def test_a_click_on_what_another_release_asked_confirms_nothing(talk: Talker, publish: Publish, choice: str) -> None:
    booked(talk)
    publish(SHIFTED)
    assert talk.clicks(choice) == ["flow_changed", "ask_table"]


def test_without_a_model_it_begins_anew_as_well(talk: Talker, publish: Publish) -> None:
    booked(talk)
    publish(SHIFTED)
    assert talk.happens(UnderstandingUnavailable(text="yes")) == ["flow_changed", "ask_table"]


@pytest.mark.parametrize(("intent", "reply"), [("ask_human", "person_comes"), ("stop", "stopped"), ("pay", "ask_way")])
def test_who_asks_for_something_gets_it(talk: Talker, publish: Publish, intent: str, reply: str) -> None:
    booked(talk)
    publish(SHIFTED)
    before = talk.state
    assert talk.says("please", intent) == ["flow_changed", reply]
    talk.state = before
    assert talk.clicks(f"intent:{intent}") == ["flow_changed", reply]


def test_what_was_submitted_is_not_done_again(talk: Talker, publish: Publish) -> None:
    publish(GOES_ON)
    talk.says("a table please", "book")
    assert talk.says("[five](word)", "inform") == ["good_choice", "confirm_booking"]
    assert talk.says("yes", "affirm") == ["booked", "ask_note"]
    publish(GOES_ON.replace("  - reply: good_choice\n", ""))
    assert talk.says("hm", "inform")[0] == "submitted_pending"
    assert talk.last is not None
    assert not talk.last.actions
    assert not talk.state.frames
    assert talk.state.submitted[0].is_open


def test_a_flow_below_begins_anew_when_it_is_its_turn(talk: Talker, publish: Publish) -> None:
    booked(talk)
    assert talk.says("pay", "pay") == ["ask_way"]
    publish(SHIFTED)
    assert talk.says("cash", "inform") == ["flow_changed", "pay_cash", "resume", "ask_table"]


def test_other_words_are_no_other_steps(talk: Talker, publish: Publish) -> None:
    booked(talk)
    publish(en=REPLIES.replace("Booking.", "It is being booked."))
    assert talk.says("yes", "affirm") == ["booked"]
    assert talk.text() == "It is being booked."


def test_steps_of_a_flow_that_is_called_count_as_well(talk: Talker, publish: Publish) -> None:
    calling = FLOWS.replace("  - collect: note\n  - confirm", "  - call: extra\n  - confirm") + (
        "---\nflow: extra\nslots: {note: {name: {zh: 备注, en: Note}, text: {shortest: 2}, ask: ask_note}}\n"
        "steps: [{collect: note}]\n"
    )
    publish(calling)
    booked(talk)
    publish(calling.replace("steps: [{collect: note}]", "steps: [{reply: hello}, {collect: note}]"))
    assert talk.says("yes", "affirm") == ["flow_changed", "ask_table"]


def test_a_flow_that_is_gone_is_told_of(talk: Talker, publish: Publish) -> None:
    booked(talk)
    publish(flows("flow: book", "flow: reserve"))
    assert talk.says("yes", "affirm") == ["flow_changed", "acknowledged"]
    assert not talk.state.frames


def test_what_is_on_offer_and_not_there_any_more_is_no_choice(talk: Talker) -> None:
    offered = [QuickReply(id=f"intent:{name}", titles={"en": name}, intent=name) for name in ("gone", "pay")]
    talk.state = State(options=tuple(offered), pending=Pending(kind="intent"))
    before = talk.state
    assert talk.clicks("intent:gone") == ["choice_expired"]
    talk.state = before
    assert talk.says("gone", "inform") == ["acknowledged"]
    talk.state = before
    assert talk.clicks("intent:pay") == ["ask_way"]


def test_an_intent_of_another_releases_model_is_not_understood(talk: Talker) -> None:
    assert talk.says("something", "brand_new", "pay") == ["clarify"]
    assert [option.intent for option in talk.state.options] == ["pay"]
    assert talk.says("something", "brand_new") == ["offer_person"]


def test_an_authors_own_words_are_taken(talk: Talker, publish: Publish) -> None:
    booked(talk)
    own = REPLIES + "flow_changed: Sorry, again from the top.\n"
    publish(SHIFTED, en=own, zh=own)
    assert talk.says("yes", "affirm")[0] == "flow_changed"
    said = Say(name="flow_changed", language="en")
    assert talk.assistant.render(said).text == "Sorry, again from the top."
    publish()
    assert "was not submitted" in talk.assistant.render(said).text
    assert "没有提交" in talk.assistant.render(said.model_copy(update={"language": "zh"})).text


def test_results_and_the_end_of_a_session_begin_nothing_anew(talk: Talker, publish: Publish) -> None:
    booked(talk)
    publish(SHIFTED)
    event: ActionFinished = finished(Origin(flow="book", step="5"), "succeeded", code="7")
    assert talk.happens(event) == ["action_succeeded"]
    assert talk.says("yes", "affirm") == ["flow_changed", "ask_table"]
    publish(FLOWS)
    assert talk.happens(SessionExpired()) == []
    assert talk.says("hello", "greet") == ["hello"]
