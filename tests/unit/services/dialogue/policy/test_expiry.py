from typing import Any

import pytest

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.policy.decision import SessionExpired
from services.dialogue.policy.expiry import cleared, is_under_way
from services.dialogue.policy.state import Pending, State
from tests.unit.services.dialogue.talker import Talker, booked


@pytest.fixture
def talk(mini: Assistant) -> Talker:
    return Talker(mini)


def later(talk: Talker) -> None:
    """Nothing happens until the session is over; nobody is there to be told."""
    assert talk.happens(SessionExpired()) == []


@pytest.mark.parametrize(
    ("said", "intent"), [("yes", "affirm"), ("no", "deny"), ("hello", "greet"), ("other", "out_of_scope")]
)
def test_a_late_answer_confirms_nothing_and_is_told_so_once(talk: Talker, said: str, intent: str) -> None:
    booked(talk)
    later(talk)
    first, *_ = talk.says(said, intent)
    assert first == "session_expired"
    assert talk.text().startswith("session_expired Booking")
    assert talk.last is not None
    assert talk.last.actions == ()
    assert "session_expired" not in talk.says("yes", "affirm")
    assert talk.last.actions == ()


def test_a_late_click_confirms_nothing(talk: Talker) -> None:
    booked(talk)
    later(talk)
    assert talk.clicks("yes") == ["session_expired", "choice_expired"]
    assert talk.last is not None
    assert talk.last.actions == ()


def test_where_the_confirmation_was_asked_again_it_is_told_too(talk: Talker) -> None:
    booked(talk)
    for _ in range(3):
        talk.says("maybe", "inform")
    later(talk)
    assert talk.says("hello", "greet")[0] == "session_expired"


def test_it_can_be_asked_for_anew(talk: Talker) -> None:
    booked(talk)
    later(talk)
    assert talk.says("a table please", "book") == ["session_expired", "ask_table"]
    assert is_under_way(talk.state)
    assert talk.slots == {}, "from the beginning"


def test_of_a_question_without_an_effect_nothing_is_told(talk: Talker) -> None:
    talk.says("a table please", "book")
    later(talk)
    assert not is_under_way(talk.state)
    assert talk.says("hello", "greet") == ["hello"]


def test_of_what_was_submitted_nothing_is_denied(talk: Talker) -> None:
    booked(talk)
    talk.state = talk.state.model_copy(
        update={"frames": tuple(frame.model_copy(update={"committed": True}) for frame in talk.state.frames)}
    )
    later(talk)
    assert talk.says("hello", "greet") == ["hello"]


@pytest.mark.parametrize("kind", ["person", "intent", "retry"])
def test_an_offer_is_no_longer_taken(talk: Talker, kind: Any) -> None:
    talk.state = State(language="en", pending=Pending(kind=kind))
    later(talk)
    assert not is_under_way(talk.state)
    talk.says("yes", "affirm")
    assert talk.last is not None
    assert talk.last.handoff is None


def test_what_was_named_and_done_stays_known(talk: Talker) -> None:
    booked(talk)
    before = talk.state
    later(talk)
    assert talk.state.mentions == before.mentions
    assert (talk.state.actions, talk.state.language, talk.state.turn) == (before.actions, before.language, before.turn)
    assert not is_under_way(cleared(before))
    assert cleared(before).mentions == before.mentions


def test_a_flow_that_a_release_no_longer_has_is_not_named(talk: Talker) -> None:
    talk.state = State(language="en", lapsed="gone")
    assert talk.says("hello", "greet") == ["hello"]
    assert talk.state.lapsed is None
