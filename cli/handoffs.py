"""Conversations that wait for a person: who waits and for how long, taking one, answering, giving it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from cli.console import err, harmless, out, write_json
from cli.desk import Staff, everything, show
from cli.errors import UsageError
from cli.gateway import Gateway
from shared.contracts.events import Event

__all__ = ["Wish", "handoffs", "waiting_time"]

LISTED = ("id", "waiting", "reason", "flow", "language", "status", "agent", "note")
SHOWN = ("id", "waiting", "reason", "flow", "customer", "slots")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done with a hand-off, in this order; nothing of it only shows what was said."""

    claim: bool = False
    reply: str | None = None
    close: bool = False
    note: str | None = None


async def handoffs(staff: Staff, handoff: int | None, wish: Wish, *, as_json: bool) -> None:
    """Does with a hand-off what is wished; without one, shows those that wait or are in work, the oldest first.

    Raises:
        UsageError: something is wished and no hand-off is named, or a note without a close.
        CommandError: there is no such hand-off, another agent has it, it was not claimed, or the account may not.
    """
    if handoff is None and wish != Wish():
        raise UsageError("Say which hand-off: `zhiyin handoffs` lists them with their ids.")
    if wish.note is not None and not wish.close:
        raise UsageError("A note says what was agreed when a conversation is closed: add --close.")
    async with staff.at_the_desk() as gateway:
        if handoff is None:
            await show_queue(gateway, as_json)
        else:
            await do(gateway, handoff, wish, as_json)


async def show_queue(gateway: Gateway, as_json: bool) -> None:
    """The queue, and how many wait and are in work."""
    found = await everything(gateway, "handoffs")
    if as_json:
        write_json(found)
        return
    show([each | {"waiting": waiting_time(each["waiting_seconds"])} for each in found], LISTED, as_json=False)
    waiting = sum(each["status"] == "waiting" for each in found)
    err.print(f"{waiting} waiting, {len(found) - waiting} in work.")


async def do(gateway: Gateway, handoff: int, wish: Wish, as_json: bool) -> None:
    """Claims, answers and closes as wished, and shows what the hand-off is then."""
    path = f"/v1/handoffs/{handoff}"
    details = await gateway.staff("POST", f"{path}/claim", {}) if wish.claim else await gateway.staff("GET", path)
    conversation = details["conversation_id"]
    events = await gateway.events(conversation, 0)
    if not as_json:
        show([details | {"waiting": waiting_time(details["waiting_seconds"])}], SHOWN, as_json=False)
        for event in events:
            said(event)
    if wish.reply is not None:
        answer = await gateway.staff("POST", f"/v1/conversations/{conversation}/replies", {"text": wish.reply})
        events += [Event.model_validate(each) for each in answer["events"]]
        err.print(f"[green]✓[/] {handoff} was answered")
    if wish.close:
        # What the customer said meanwhile was not shown: the server closes nothing unread.
        closing: dict[str, Any] = {"read_to": read_to(events)} | ({"note": wish.note} if wish.note else {})
        details |= await gateway.staff("POST", f"{path}/close", closing)
        err.print(f"[green]✓[/] {handoff} is closed; the assistant has the conversation again")
    if as_json:
        write_json(details | {"events": [event.model_dump(mode="json") for event in events]})


def read_to(events: Sequence[Event]) -> int:
    """Up to where nothing is missing."""
    return next((place for place, event in enumerate(events) if event.seq != place + 1), len(events))


def said(event: Event) -> None:
    """A line of the transcript."""
    out.print(Text.assemble((f"{event.sender}> ", "bold"), harmless(event.text)), soft_wrap=True)


def waiting_time(seconds: int) -> str:
    """The waiting time in its largest units: `40 s`, `12 min`, `3 h 05 min`."""
    minutes = seconds // 60
    if minutes < 1:
        return f"{seconds} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
