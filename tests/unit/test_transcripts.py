"""The account that the cluster's tests give of a transcript finds what is wrong with it."""

from typing import Any

import pytest

from tests.cluster.transcripts import Message, gaps, problems


def event(seq: int, *, message: str | None = None, answers: int | None = None, text: str = "") -> dict[str, Any]:
    sender = "customer" if message else "assistant"
    data = {} if message else {"reply": "greet"}
    return {"seq": seq, "sender": sender, "message_id": message, "in_reply_to": answers, "text": text, "data": data}


def said(name: str, at: float, *, status: int | None = 200, replies: list[dict[str, Any]] | None = None) -> Message:
    return Message(id=name, text="你好", sent_at=at, seconds=0.5, status=status, replies=replies or [])


WHOLE = [event(1), event(2, message="a"), event(3, answers=2), event(4, message="b"), event(5, answers=4)]


def test_a_whole_transcript_has_no_problem() -> None:
    assert problems(WHOLE, [said("a", 1, replies=[WHOLE[2]]), said("b", 2, status=202)]) == []


def test_what_was_not_accepted_may_be_there_or_not() -> None:
    assert problems(WHOLE, [said("a", 1), said("b", 2, status=None), said("c", 3, status=503)]) == []


@pytest.mark.parametrize(
    ("events", "messages", "problem"),
    [
        (WHOLE, [said("a", 1), said("b", 2), said("c", 3)], "lost: c"),
        (WHOLE, [said("a", 1)], "b was never sent"),
        ([*WHOLE, event(6, message="a"), event(7, answers=6)], [said("a", 1), said("b", 2)], "doubled: a"),
        (WHOLE[:4], [said("a", 1), said("b", 2)], "unanswered: b"),
        ([*WHOLE, event(6, answers=4)], [said("a", 1), said("b", 2)], "answered 2 times: b"),
        ([WHOLE[0], *WHOLE[2:]], [said("b", 2)], "seq 3 came after 1"),
        (WHOLE, [said("a", 2), said("b", 1)], "reordered: a before b"),
        (WHOLE, [said("a", 1, replies=[event(3, answers=2, text="other")]), said("b", 2)], "told otherwise"),
    ],
)
def test_what_is_wrong_is_found(events: list[dict[str, Any]], messages: list[Message], problem: str) -> None:
    assert any(found.startswith(problem) for found in problems(events, messages))


def test_gaps_are_found_behind_any_number() -> None:
    assert gaps([4, 5, 6], after=3) == []
    assert gaps([5], after=3) == ["seq 5 came after 3"]
    assert gaps([1, 1]) == ["seq 1 came after 1"]
