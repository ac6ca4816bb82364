"""What business answers, as the conversation goes on with it."""

import pytest

from services.dialogue.policy.decision import LookedUp, LookupFailed, Origin
from tests.unit.services.dialogue.talker import Talker, booked, finished


@pytest.mark.parametrize(
    ("status", "error", "replies"),
    [
        ("succeeded", None, ["booking_done"]),
        ("rejected", "full", ["booking_full"]),
        ("rejected", "other", ["booking_refused"]),
        ("awaiting_approval", None, []),
        ("failed", None, []),
    ],
)
def test_what_became_of_an_action(talk: Talker, status: str, error: str | None, replies: list[str]) -> None:
    origin = Origin(flow="book", step="5", variables={"chosen.number": "five"})
    assert talk.happens(finished(origin, status, error=error)) == replies


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin(flow="gone", step="5"), "book"),
        (Origin(flow="book", step="99"), "book"),
        (Origin(flow="book", step="5"), "pay"),
    ],
)
def test_an_action_of_a_flow_that_has_changed_since_is_still_reported(talk: Talker, origin: Origin, name: str) -> None:
    assert talk.happens(finished(origin, "succeeded", name)) == ["action_succeeded"]
    assert talk.happens(finished(origin, "rejected", name)) == ["action_failed"]
    assert talk.happens(finished(origin, "failed", name)) == ["action_failed"]
    assert talk.happens(finished(origin, "awaiting_approval", name)) == []


def test_a_result_does_not_disturb_the_question_that_is_open(talk: Talker) -> None:
    booked(talk)
    before = talk.state
    origin = Origin(flow="book", step="5", variables={})
    assert talk.happens(finished(origin, "rejected", "pay")) == ["action_failed"]
    assert talk.state == before


def test_look_ups_that_fail(talk: Talker) -> None:
    talk.down = True
    assert talk.says("a table please", "book") == ["lookup_failed"]
    assert talk.clicks("retry") == ["lookup_failed_again"]
    assert talk.state.frames == ()
    assert talk.clicks("no") == ["acknowledged"]


def test_answers_that_nobody_waits_for_change_nothing(talk: Talker) -> None:
    booked(talk)
    before = talk.state
    assert talk.happens(LookedUp(name="tables", found=True, data={})) == []
    assert talk.happens(LookupFailed(name="tables")) == []
    assert talk.state == before
