"""What must hold of a transcript, given what its customer sent and was answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.next_release import without_additions

__all__ = ["Event", "Message", "gaps", "problems"]

Event = dict[str, Any]


@dataclass(kw_only=True)
class Message:
    """A message that was sent; `status` is the last answer's, None when there was none."""

    id: str
    text: str
    sent_at: float
    seconds: float = 0.0
    status: int | None = None
    replies: list[Event] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the customer got an answer that says it is stored."""
        return self.status in (200, 202)


def gaps(seqs: Sequence[int], *, after: int = 0) -> list[str]:
    """Where the numbers do not go on one by one."""
    return [
        f"seq {seq} came after {before}"
        for before, seq in zip([after, *seqs[:-1]], seqs, strict=True)
        if seq != before + 1
    ]


def problems(events: Sequence[Event], messages: Sequence[Message]) -> list[str]:
    """Everything that is wrong with a transcript; empty when nothing is.

    Wrong are: gaps in `seq`, an accepted message that is not there, a message that is there twice or was never sent,
    one without a reply, one that was answered twice, another order than that in which the customer sent messages after
    having been answered, and replies that differ from those that the customer was given.
    """
    found = gaps([event["seq"] for event in events])
    said = [event for event in events if event["sender"] == "customer"]
    places = {event["message_id"]: event["seq"] for event in said}
    known = {message.id: message for message in messages}
    for name, count in Counter(event["message_id"] for event in said).items():
        if count > 1:
            found.append(f"doubled: {name} is there {count} times")
        if name not in known:
            found.append(f"{name} was never sent")
    found += [f"lost: {message.id}" for message in messages if message.accepted and message.id not in places]
    answers: dict[int, list[Event]] = {}
    for event in events:
        if event["in_reply_to"] is not None:
            answers.setdefault(event["in_reply_to"], []).append(event)
    for event in said:
        replies = answers.get(event["seq"], [])
        if not replies:
            found.append(f"unanswered: {event['message_id']}")
        names = Counter((reply["data"].get("reply"), reply["text"]) for reply in replies)
        found += [f"answered {count} times: {event['message_id']}" for count in names.values() if count > 1]
        message = known.get(event["message_id"])
        # The event is the same, whichever release tells it.
        if message is not None and message.replies and without_additions(message.replies) != without_additions(replies):
            found.append(f"told otherwise than stored: {event['message_id']}")
    return found + _reordered(messages, places)


def _reordered(messages: Sequence[Message], places: dict[str, int]) -> list[str]:
    stored = sorted((message for message in messages if message.id in places), key=lambda message: message.sent_at)
    found = []
    for index, later in enumerate(stored):
        before = [each for each in stored[:index] if each.accepted and each.sent_at + each.seconds < later.sent_at]
        found += [f"reordered: {later.id} before {each.id}" for each in before if places[each.id] > places[later.id]]
    return found
