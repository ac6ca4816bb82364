"""Look-ups through a connector, against a real HTTP server that behaves well or badly."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.business.connectors.assistants import Assistants
from services.business.connectors.lookups import Question, answer_lookup, look_up
from services.business.connectors.outcomes import (
    ConnectionLost,
    NothingHappened,
    OutcomeUnknown,
    SystemAway,
    SystemRefused,
    UnusableAnswer,
)
from services.business.rules.rule_set import Undecided
from shared.contracts.lookups import LookupRequest
from shared.errors import InvalidInput, NotFound, UpstreamError
from tests.systems import CompanySystem, cut, never
from tests.unit.services.business.connectors.conftest import MOMENT, Make

Ask = Callable[..., Awaitable[dict[str, Any] | None]]

CARD = """
lookups:
  card:
    arguments: {card: {pattern: "[0-9]{4}"}}
    request: {path: "/cards/{card}", query: {who: customer, absent: "null"}}
    missing_if: response.state == 'gone'
    answer:
      state: {type: text, required: true}
      left: {type: number, from: response.limit - response.used}
"""

STATEMENT = """
lookups:
  statement:
    request: {path: /entries}
    pages: {items: response.entries, parameter: page, next: response.next, most: 3}
    answer:
      count: {type: integer, from: len(items)}
      total: {type: integer, from: response.total}
      entries:
        type: list
        from: items
        most: 2
        fields: {text: text, mine: {type: boolean, from: item.who == customer}}
"""


async def test_a_look_up_is_asked_and_read_as_the_file_says(make: Make, ask: Ask, system: CompanySystem) -> None:
    system.answers("GET", "/cards/1234", {"state": "open", "limit": 500, "used": 120.5, "secret": 1})
    assert await ask(make(CARD), card="1234") == {"state": "open", "left": 379.5}
    (asked,) = system.asked
    assert asked.query == {"who": "C1"}
    assert float(asked.headers["X-Deadline-Seconds"]) <= 5.0


async def test_what_does_not_exist_is_not_found_and_nobody_unknown_asks(
    make: Make, ask: Ask, system: CompanySystem
) -> None:
    assistants = make(CARD)
    assert await ask(assistants, customer=None, card="1234") is None
    assert not system.asked
    assert await ask(assistants, card="1234") is None
    system.answers("GET", "/cards/1234", {"state": "gone"})
    assert await ask(assistants, card="1234") is None
    assert len(system.asked) == 2


@pytest.mark.parametrize(
    ("answer", "raised", "said"),
    [
        (403, SystemRefused, "status 403"),
        (302, SystemRefused, "status 302"),
        (500, NothingHappened, "status 500"),
        (429, NothingHappened, "status 429"),
        ({"limit": 1}, UnusableAnswer, "'state' is missing"),
        ({"state": ["open"]}, UnusableAnswer, "'state' is no text"),
        (204, UnusableAnswer, "'state' is missing"),
        (web.Response(text="<html>", content_type="text/html"), UnusableAnswer, "it is text/html, not JSON"),
        (web.Response(text="{", content_type="application/json"), UnusableAnswer, "it is not JSON"),
        (web.Response(text='{"state": NaN}', content_type="application/json"), UnusableAnswer, "it is not JSON"),
        (web.Response(text="[" * 50_000, content_type="application/json"), UnusableAnswer, "it is not JSON"),
        (
            web.Response(text="[" * 100 + "]" * 100, content_type="application/json"),
            UnusableAnswer,
            "it is nested too deeply",
        ),
        (web.Response(body=b"\xff\xfe{", content_type="application/json"), UnusableAnswer, "it is not JSON"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_none(
    make: Make, ask: Ask, system: CompanySystem, answer: Any, raised: type[Exception], said: str
) -> None:
    system.answers("GET", "/cards/1234", answer)
    with pytest.raises(raised, match=said) as caught:
        await ask(make(CARD), card="1234")
    assert type(caught.value) is raised
    assert len(system.asked) == 1, "asked again, or followed elsewhere"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "br"])
async def test_an_answer_is_bounded_packed_or_not(make: Make, ask: Ask, system: CompanySystem, encoding: str) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}

    def packed(text: str) -> web.Response:
        return web.Response(body=pack.get(encoding, bytes)(text.encode()), headers=headers)

    small = json.dumps({"state": "open"})
    bomb = json.dumps({"state": "o" * 3_000_000})
    system.answers("GET", "/cards/1234", packed(small), packed(bomb))
    assistants = make(CARD)
    if encoding == "br":
        with pytest.raises(UnusableAnswer, match="packed in a way that is not known"):
            await ask(assistants, card="1234")
        return
    assert (await ask(assistants, card="1234") or {})["state"] == "open"
    with pytest.raises(UnusableAnswer, match="more than 1000000 bytes"):
        await ask(assistants, card="1234")


async def test_a_packed_answer_that_is_cut_is_none(make: Make, ask: Ask, system: CompanySystem) -> None:
    body = gzip.compress(json.dumps({"state": "open"}).encode())[:-4]
    system.answers(
        "GET",
        "/cards/1234",
        web.Response(body=body, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    )
    with pytest.raises(UnusableAnswer, match="cannot be unpacked"):
        await ask(make(CARD), card="1234")


async def test_a_question_is_asked_once_more_when_its_connection_breaks(
    make: Make, ask: Ask, system: CompanySystem
) -> None:
    assistants = make(CARD)
    system.answers("GET", "/cards/1234", cut, {"state": "open"})
    assert (await ask(assistants, card="1234") or {})["state"] == "open"
    assert len(system.asked) == 2
    system.answers("GET", "/cards/1234", cut)
    with pytest.raises(ConnectionLost):
        await ask(assistants, card="1234")
    assert len(system.asked) == 4


async def test_an_answer_that_ends_too_early_is_none(make: Make, ask: Ask, system: CompanySystem) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"state": "open"}')
        return await cut(request)

    system.answers("GET", "/cards/1234", half)
    with pytest.raises(ConnectionLost):
        await ask(make(CARD), card="1234")


async def test_a_look_up_ends_with_its_own_time_and_with_the_callers(
    make: Make, ask: Ask, system: CompanySystem
) -> None:
    system.answers("GET", "/cards/1234", never)
    with pytest.raises(OutcomeUnknown, match="did not answer in time"):
        await ask(make(CARD, head="timeout: 0.05"), card="1234")
    with pytest.raises(OutcomeUnknown, match="did not answer in time"):
        await ask(make(CARD), card="1234", seconds=0.05)
    with pytest.raises(NothingHappened, match="no time left"):
        await ask(make(CARD), card="1234", seconds=-1.0)
    assert len(system.asked) == 2


async def test_an_answer_that_comes_for_ever_ends_with_the_time(make: Make, ask: Ask, system: CompanySystem) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.005)

    system.answers("GET", "/cards/1234", drip)
    with pytest.raises(OutcomeUnknown, match="did not answer in time"):
        await ask(make(CARD, head="timeout: 0.1"), card="1234")


async def test_nobody_there_is_nothing_happened(make: Make, ask: Ask, tmp_path: Path) -> None:
    assistants = make(CARD, connectors={"bank.core": {"url": "http://127.0.0.1:1"}})
    with pytest.raises(NothingHappened, match="'core': it cannot be reached"):
        await ask(assistants, card="1234")


async def test_pages_are_read_to_the_end_by_their_cursor(make: Make, ask: Ask, system: CompanySystem) -> None:
    first = {"entries": [{"text": "a", "who": "C1"}], "next": "http://elsewhere/?x=1&y", "total": 7}
    second = {"entries": [{"text": "b", "who": "C2"}, {"text": "c"}], "next": None, "total": 8}
    system.answers("GET", "/entries", first, second)
    assert await ask(make(STATEMENT), "statement") == {
        "count": 3,
        "total": 7,
        "entries": [{"text": "a", "mine": True}, {"text": "b", "mine": False}],
    }
    assert [each.query for each in system.asked] == [{}, {"page": "http://elsewhere/?x=1&y"}]


@pytest.mark.parametrize("cursor", ["same", True, {"a": 1}, "x" * 3000, ""])
async def test_pages_end_where_the_cursor_leads_nowhere_new(
    make: Make, ask: Ask, system: CompanySystem, cursor: Any
) -> None:
    system.answers("GET", "/entries", {"entries": [{"text": "a"}], "next": cursor})
    assert (await ask(make(STATEMENT), "statement") or {})["count"] == len(system.asked) <= 2


async def test_no_more_pages_are_read_than_the_file_says(make: Make, ask: Ask, system: CompanySystem) -> None:
    answers = [{"entries": [{"text": "a"}], "next": number} for number in range(1, 9)]
    system.answers("GET", "/entries", *answers)
    assert (await ask(make(STATEMENT), "statement") or {})["count"] == len(system.asked) == 3


async def test_counted_pages_end_with_an_empty_one_or_none(make: Make, ask: Ask, system: CompanySystem) -> None:
    counted = make(STATEMENT.replace(" next: response.next,", " first: 0,"))
    system.answers("GET", "/entries", {"entries": [{"text": "a"}]}, {"entries": []})
    assert (await ask(counted, "statement") or {})["count"] == 1
    system.answers("GET", "/entries", {"entries": [{"text": "a"}]}, 404)
    assert (await ask(counted, "statement") or {})["count"] == 1
    assert [each.query["page"] for each in system.asked] == ["0", "1", "0", "1"]


async def test_items_that_are_no_list_are_no_answer(make: Make, ask: Ask, system: CompanySystem) -> None:
    system.answers("GET", "/entries", {"entries": {"text": "a"}})
    with pytest.raises(UnusableAnswer, match="items are no list"):
        await ask(make(STATEMENT), "statement")


TABLE = {
    "nodes": [
        {"id": "in", "type": "inputNode", "name": "in"},
        {
            "id": "table",
            "type": "decisionTableNode",
            "name": "table",
            "content": {
                "hitPolicy": "first",
                "inputs": [{"id": "i", "field": "left", "name": "left"}],
                "outputs": [{"id": "o", "field": "tone", "name": "tone"}],
                "rules": [{"i": "< 100", "o": "'low'"}, {"i": "", "o": "'fine'"}],
            },
        },
        {"id": "out", "type": "outputNode", "name": "out"},
    ],
    "edges": [
        {"id": "1", "sourceId": "in", "targetId": "table", "type": "edge"},
        {"id": "2", "sourceId": "table", "targetId": "out", "type": "edge"},
    ],
}


async def test_the_rules_decide_with_facts_of_the_answer(
    make: Make, ask: Ask, system: CompanySystem, tmp_path: Path
) -> None:
    (tmp_path / "bank" / "rules").mkdir(parents=True)
    (tmp_path / "bank" / "rules" / "limits.json").write_text(json.dumps(TABLE), encoding="utf-8")
    decided = CARD.replace(
        "    answer:\n",
        "    decide: {limits: {rule: limits, facts: {left: response.limit - response.used}}}\n"
        "    answer:\n      tone: {type: text, from: limits.tone}\n",
    )
    system.answers("GET", "/cards/1234", {"state": "open", "limit": 100, "used": 10})
    assert (await ask(make(decided), card="1234") or {})["tone"] == "low"


class Silent:
    """Rules that decide nothing."""

    def __init__(self, _folder: Path) -> None:
        pass

    def decide(self, _name: str, _facts: object) -> dict[str, Any]:
        raise Undecided("no row for C1")


@pytest.fixture
def undecided(make: Make, system: CompanySystem, tmp_path: Path) -> Callable[[str], Assistants]:
    """A card about which the rules decide nothing, with this field in its answer."""
    (tmp_path / "bank" / "rules").mkdir(parents=True)
    (tmp_path / "bank" / "rules" / "limits.json").write_text("{}", encoding="utf-8")
    system.answers("GET", "/cards/1234", {"state": "open"})

    def assistants(field: str) -> Assistants:
        decide = "    decide: {limits: {rule: limits, facts: {}}}\n"
        return make(CARD.replace("    answer:\n", f"{decide}    answer:\n      tone: {field}\n"), rules=Silent)

    return assistants


@pytest.mark.parametrize(
    ("field", "tone"),
    [
        ("{type: text, from: limits.tone}", None),
        ("{type: text, from: \"limits.tone ?? 'calm'\"}", "calm"),
    ],
)
async def test_where_the_rules_decide_nothing_the_answer_says_what_that_means(
    undecided: Callable[[str], Assistants], ask: Ask, field: str, tone: str | None
) -> None:
    assert (await ask(undecided(field), card="1234") or {})["tone"] == tone


async def test_an_answer_that_needs_a_decision_is_none_without_it(undecided: Callable[[str], Assistants]) -> None:
    served = undecided("{type: text, from: limits.tone, required: true}").find("default", None, None)
    assert served is not None
    until = asyncio.get_running_loop().time() + 5
    request = LookupRequest(customer="C1", arguments={"card": "1234"})
    with pytest.raises(UpstreamError, match="the rules that 'card' asks say nothing") as told:
        await answer_lookup(served, "card", request, moment=MOMENT, until=until)
    assert "C1" not in told.value.detail


@pytest.mark.parametrize(
    ("field", "goes_on"),
    [
        ("{type: text, from: limits.tone}", False),
        ("{type: object, from: response, fields: {tone: {type: text, from: limits.tone}}}", False),
        ("{type: text, from: limits.tone, required: true}", False),
        ("{type: text, from: \"limits.tone ?? 'calm'\"}", True),
        ("{type: text, from: response.state}", True),
    ],
)
async def test_no_effect_rests_on_a_decision_that_was_not_made(
    undecided: Callable[[str], Assistants], field: str, goes_on: bool
) -> None:
    served = undecided(field).find("default", None, None)
    assert served is not None
    question = Question(customer="C1", moment=MOMENT, arguments={"card": "1234"})
    until = asyncio.get_running_loop().time() + 5
    with nullcontext() if goes_on else pytest.raises(Undecided):
        await look_up(served, "card", question, until, before=True)


async def test_what_a_conversation_is_told(make: Make, system: CompanySystem) -> None:
    served = make(CARD).find("default", None, None)
    assert served is not None

    async def answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        until = asyncio.get_running_loop().time() + 5
        request = LookupRequest(customer="C1", arguments=arguments)
        return (await answer_lookup(served, name, request, moment=MOMENT, until=until)).model_dump()

    card = {"card": "1234"}
    system.answers(
        "GET",
        "/cards/1234",
        {"state": "open"},
        404,
        {},
        web.Response(status=503, headers={"Retry-After": "7"}),
        400,
        cut,
    )
    assert await answer("card", card) == {"name": "card", "found": True, "data": {"state": "open", "left": None}}
    assert await answer("card", card) == {"name": "card", "found": False, "data": {}}
    with pytest.raises(UpstreamError, match="'state' is missing"):
        await answer("card", card)
    with pytest.raises(SystemAway) as away:
        await answer("card", card)
    assert (away.value.status, away.value.headers) == (503, {"Retry-After": "7"})
    with pytest.raises(UpstreamError, match="status 400"):
        await answer("card", card)
    with pytest.raises(SystemAway):
        await answer("card", card)
    with pytest.raises(NotFound, match="there are card"):
        await answer("cards", card)
    with pytest.raises(InvalidInput) as wrong:
        await answer("card", {"card": "12", "cards": 1})
    assert [each.field for each in wrong.value.errors] == ["arguments.cards", "arguments.card"]
