"""Hand-offs on the command line, against a dialogue with its real neighbours."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cli.desk import Staff
from cli.errors import UsageError
from cli.gateway import Refused
from cli.handoffs import Wish, handoffs, read_to, waiting_time
from shared.contracts.events import Event
from shared.storage.database import now
from tests.calls import Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT, BEN, neighbourhood, new_guest


@pytest.fixture(scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with neighbourhood(tmp_path_factory.mktemp("handoffs")) as running:
        yield running.dialogue.base_url


@pytest.fixture
async def calls(url: str) -> AsyncIterator[Calls]:
    async with calling(url) as calls:
        yield calls


@pytest.fixture
async def guest(calls: Calls) -> Customer:
    """Somebody who waits for a person."""
    guest = await new_guest(calls)
    await guest.say("a person please", choice="intent:ask_human")
    return guest


@pytest.fixture
def agent(url: str) -> Staff:
    return staff(AGENT, url)


def staff(account: dict[str, Any], url: str) -> Staff:
    return Staff(username=account["username"], password=account["password"], url=url)


class Terminal:
    """Runs the command and reads what it writes."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def json(self, who: Staff, handoff: int | None = None, **wish: Any) -> Any:
        await handoffs(who, handoff, Wish(**wish), as_json=True)
        return json.loads(self._capsys.readouterr().out)

    async def text(self, who: Staff, handoff: int | None = None, **wish: Any) -> tuple[str, str]:
        await handoffs(who, handoff, Wish(**wish), as_json=False)
        written = self._capsys.readouterr()
        return written.out, written.err

    async def of(self, who: Staff, guest: Customer) -> int:
        """The number of the guest's hand-off."""
        [number] = [each["id"] for each in await self.json(who) if each["conversation_id"] == guest.conversation]
        return int(number)


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


async def test_who_waits_is_listed_with_the_time(terminal: Terminal, agent: Staff, guest: Customer) -> None:
    number = await terminal.of(agent, guest)
    out, err = await terminal.text(agent)
    [line] = [line for line in out.splitlines() if line.startswith(f"{number} ")]
    assert " s " in line
    assert "waiting" in line
    assert err.endswith(" in work.\n")


async def test_a_conversation_is_claimed_answered_and_given_back(
    terminal: Terminal, agent: Staff, guest: Customer
) -> None:
    number = await terminal.of(agent, guest)
    out, _ = await terminal.text(agent, number, claim=True)
    assert "customer> a person please" in out
    await guest.post("it is about my parcel")
    out, err = await terminal.text(agent, number, reply="I am on it.")
    assert "customer> it is about my parcel" in out
    assert err == f"✓ {number} was answered\n"
    closed = await terminal.json(agent, number, reply="Done.", close=True, note="It comes tomorrow.")
    assert (closed["status"], closed["note"]) == ("closed", "It comes tomorrow.")
    assert [event["text"] for event in closed["events"]][-1] == "Done."
    told = [event["text"] for event in await guest.events() if event["sender"] == "agent"]
    assert told[:2] == ["I am on it.", "Done."]
    assert number not in [each["id"] for each in await terminal.json(agent)]


async def test_only_who_has_it_answers_and_closes(terminal: Terminal, agent: Staff, guest: Customer, url: str) -> None:
    number = await terminal.of(agent, guest)
    for wish in ({"reply": "hello"}, {"close": True}, {}):
        with pytest.raises(Refused):
            await terminal.json(agent, number, **wish)
    await terminal.json(agent, number, claim=True)
    with pytest.raises(Refused, match=r"^Refused \(409\): "):
        await terminal.json(staff(BEN, url), number, claim=True)
    with pytest.raises(Refused, match=r"^Refused \(404\): "):
        await terminal.json(staff(BEN, url), number, reply="hello")
    assert [event["sender"] for event in await guest.events()].count("agent") == 0


@pytest.mark.parametrize(
    ("handoff", "wish", "said"),
    [
        (None, Wish(claim=True), "Say which hand-off"),
        (None, Wish(reply="hello"), "Say which hand-off"),
        (None, Wish(close=True), "Say which hand-off"),
        (1, Wish(note="agreed"), "add --close"),
    ],
)
async def test_what_cannot_be_meant_is_said_so(agent: Staff, handoff: int | None, wish: Wish, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        await handoffs(agent, handoff, wish, as_json=False)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3900, "1 h 05 min")]
)
def test_a_waiting_time_is_said_as_people_do(seconds: int, said: str) -> None:
    assert waiting_time(seconds) == said


@pytest.mark.parametrize(("seqs", "end"), [([], 0), ([1, 2, 3], 3), ([1, 2, 4], 2), ([2], 0)])
def test_nothing_counts_as_read_behind_a_gap(seqs: list[int], end: int) -> None:
    events = [Event(seq=seq, kind="message", sender="customer", text="x", created_at=now()) for seq in seqs]
    assert read_to(events) == end
