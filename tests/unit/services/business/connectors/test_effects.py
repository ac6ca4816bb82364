"""Actions through a connector: what they come to before the effect, the call, and what is known of it afterwards."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from services.business.connectors.effects import Effects, Prepared
from services.business.connectors.outcomes import (
    Done,
    NothingHappened,
    OutcomeUnknown,
    Refused,
    SystemRefused,
    UnusableAnswer,
)
from shared.contracts.actions import ActionRequest
from tests.systems import CompanySystem, cut, never
from tests.unit.services.business.connectors.conftest import MOMENT, Make

FREEZE = """
lookups:
  card:
    arguments: {card: {pattern: "[0-9]{4}"}}
    request: {path: "/cards/{card}"}
    answer: {state: text, limit: integer}
actions:
  freeze:
    title: {zh: 冻结, en: Freeze}
    arguments: {card: {pattern: "[0-9]{4}"}, note: {optional: true}}
    before: {lookup: card, arguments: [card], missing: no_card}
    refuse:
      - {if: before.state == 'frozen', code: "'already_frozen'"}
    approval: {if: before.limit > 1000, within: 3d}
    request:
      method: POST
      path: "/cards/{card}/freeze"
      headers: {X-Reason: "'lost'"}
      body: {by: customer, note: note, reference: action, old: before.state, at: now, in: conversation}
    DELIVERY
    refused: {409: response.code}
    refused_if:
      - {if: response.state == 'declined', code: response.reason}
    answer:
      state: {type: text, required: true}
      limit: {type: integer, from: before.limit}
"""
ONCE = FREEZE.replace("DELIVERY", "delivery: once")
IDEMPOTENT = FREEZE.replace("DELIVERY", "delivery: idempotent\n    idempotency_header: X-Key")
QUERYABLE = FREEZE.replace(
    "DELIVERY",
    "delivery: queryable\n"
    "    query: {request: {path: /freezes, query: {id: action}}, happened: response.count > 0, settle: 3s}",
)
PUT = ONCE.replace("method: POST", "method: PUT")


def request(name: str = "freeze", **changes: Any) -> ActionRequest:
    fields: dict[str, Any] = {
        "id": "a-1",
        "tenant": "default",
        "name": name,
        "customer": "C1",
        "conversation_id": "talk-1",
        "arguments": {"card": "1234"},
        "requested_at": MOMENT,
    }
    return ActionRequest.model_validate(fields | changes)


async def prepared(effects: Effects, **changes: Any) -> Prepared:
    found = await effects.prepare(request(**changes), MOMENT)
    assert isinstance(found, Prepared)
    return found


@pytest.fixture
def open_card(system: CompanySystem) -> None:
    """The card is there."""
    system.answers("GET", "/cards/1234", {"state": "open", "limit": 500})


@pytest.mark.usefixtures("open_card")
async def test_an_action_is_called_once_with_its_key(make: Make, system: CompanySystem) -> None:
    effects = Effects(make(IDEMPOTENT))
    ready = await prepared(effects, arguments={"card": "1234", "note": None})
    assert (ready.approval, ready.delivery, ready.query, ready.saga) == (None, "idempotent", None, None)
    assert ready.arguments == {"card": "1234", "note": None}
    system.answers("POST", "/cards/1234/freeze", {"state": "frozen", "more": 1})
    assert await effects.perform(request(), ready, key="k-1") == Done({"state": "frozen", "limit": 500})
    _, asked = system.asked
    assert asked.headers["X-Key"] == "k-1"
    assert asked.headers["X-Reason"] == "lost"
    assert asked.body == {
        "by": "C1",
        "reference": "k-1",
        "old": "open",
        "at": "2026-11-03T08:30:00+00:00",
        "in": "talk-1",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "melt"}, "unknown_action"),
        ({"arguments": {"card": "12345"}}, "invalid_arguments"),
        ({"arguments": {}}, "invalid_arguments"),
        ({"arguments": {"card": "1234", "by": "me"}}, "invalid_arguments"),
        ({"arguments": {"card": {"a": "1234"}}}, "invalid_arguments"),
        ({"customer": None}, "no_customer"),
        ({"arguments": {"card": "9999"}}, "no_card"),
        ({"arguments": {"card": "5678"}}, "already_frozen"),
        ({"tenant": "other"}, "unknown_action"),
    ],
)
async def test_what_may_not_be_is_refused_before_anything_is_called(
    make: Make, system: CompanySystem, changes: dict[str, Any], code: str
) -> None:
    system.answers("GET", "/cards/5678", {"state": "frozen", "limit": 7})
    effects = Effects(make(ONCE))
    refused = await effects.prepare(request(**changes), MOMENT)
    assert isinstance(refused, Refused)
    assert refused.code == code
    assert all(each.method == "GET" for each in system.asked)
    if code == "already_frozen":
        assert refused.data == {"state": None, "limit": 7}
    if code == "invalid_arguments":
        assert refused.data["fields"]
    assert effects.handles(request(**changes)) is (code != "unknown_action")


async def test_a_person_is_needed_where_the_file_says_so(make: Make, system: CompanySystem) -> None:
    system.answers("GET", "/cards/1234", {"state": "open", "limit": 1001})
    ready = await prepared(Effects(make(ONCE)))
    assert ready.approval is not None
    assert ready.approval.within == timedelta(days=3)
    assert ready.known == {"limit": 1001}
    assert ready.title == {"zh": "冻结", "en": "Freeze"}


@pytest.mark.parametrize(
    ("answer", "raised"),
    [(500, NothingHappened), (cut, NothingHappened), ([], NothingHappened), (400, SystemRefused)],
)
async def test_what_cannot_be_looked_up_before_is_nothing_happened(
    make: Make, system: CompanySystem, answer: Any, raised: type[Exception]
) -> None:
    wanted = ONCE.replace("state: text, limit", "state: {type: text, required: true}, limit")
    system.answers("GET", "/cards/1234", answer)
    with pytest.raises(raised):
        await Effects(make(wanted)).prepare(request(), MOMENT)


@pytest.mark.usefixtures("open_card")
@pytest.mark.parametrize("file", [ONCE, PUT, IDEMPOTENT])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"state": "declined", "reason": "lost_before"}, Refused("lost_before", {"state": "declined", "limit": 500})),
        ({"state": "declined", "reason": "no code!"}, Refused("refused", {"state": "declined", "limit": 500})),
        (web.json_response({"code": "in_use"}, status=409), Refused("in_use", {"state": None, "limit": 500})),
        (web.Response(text="<p>", status=409), Refused("refused", {"state": None, "limit": 500})),
        (503, NothingHappened),
        (web.Response(status=429, headers={"Retry-After": "30"}), NothingHappened),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        (303, OutcomeUnknown),
        (cut, OutcomeUnknown),
        (never, OutcomeUnknown),
        ({"limit": 1}, UnusableAnswer),
        (web.Response(text="<p>OK", content_type="text/html"), UnusableAnswer),
        (302, SystemRefused),
        (400, SystemRefused),
        (404, SystemRefused),
    ],
)
async def test_every_answer_means_one_thing_and_is_asked_for_once(
    make: Make, system: CompanySystem, file: str, answer: Any, outcome: Any
) -> None:
    effects = Effects(make(file, head=f"timeout: {0.1 if answer is never else 5.0}"))
    ready = await prepared(effects)
    method = "PUT" if file is PUT else "POST"
    system.answers(method, "/cards/1234/freeze", answer)
    if isinstance(outcome, Refused):
        assert await effects.perform(request(), ready, key="k") == outcome
    else:
        with pytest.raises(outcome) as caught:
            await effects.perform(request(), ready, key="k")
        assert isinstance(caught.value, NothingHappened) is (outcome is NothingHappened)
        if isinstance(answer, web.Response) and answer.status == 429:
            assert caught.value.again_after == 30
    assert [each.method for each in system.asked].count(method) == 1


@pytest.mark.usefixtures("open_card")
async def test_an_effect_that_is_not_repeated_takes_a_connection_of_its_own(make: Make, system: CompanySystem) -> None:
    """A kept one may have been closed meanwhile, and then nobody knew what the call did."""
    ports: list[Any] = []

    async def note(asked: web.Request) -> web.Response:
        assert asked.transport is not None
        ports.append(asked.transport.get_extra_info("peername"))
        return web.json_response({"state": "frozen"})

    system.answers("POST", "/cards/1234/freeze", note)
    for file, connections in ((ONCE, 2), (IDEMPOTENT, 1)):
        effects = Effects(make(file))
        ready = await prepared(effects)
        ports.clear()
        for _ in range(2):
            await effects.perform(request(), ready, key="k")
        assert len(set(ports)) == connections


@pytest.mark.usefixtures("open_card")
async def test_nobody_there_is_nothing_happened(make: Make, system: CompanySystem) -> None:
    effects = Effects(make(ONCE))
    ready = await prepared(effects)
    away = Effects(make(ONCE, connectors={"bank.core": {"url": "http://127.0.0.1:1"}}))
    with pytest.raises(NothingHappened):
        await away.perform(request(), ready, key="k")


@pytest.mark.usefixtures("open_card")
@pytest.mark.parametrize(
    ("answer", "became"),
    [
        ({"count": 1, "state": "frozen"}, Done({"state": "frozen", "limit": 500})),
        ({"count": 1}, Done({"state": None, "limit": 500})),
        ({"count": 1, "state": "declined", "reason": "late"}, Refused("late", {"state": "declined", "limit": 500})),
        ({"count": 0}, None),
        ({}, None),
        (404, None),
        (403, NothingHappened),
        (302, NothingHappened),
        (500, NothingHappened),
        (429, NothingHappened),
        (cut, NothingHappened),
        (web.Response(text="<p>", content_type="text/html"), NothingHappened),
    ],
)
async def test_a_system_that_can_be_asked_tells_what_became_of_it(
    make: Make, system: CompanySystem, answer: Any, became: Any
) -> None:
    effects = Effects(make(QUERYABLE))
    ready = await prepared(effects)
    assert ready.settle == timedelta(seconds=3)
    system.answers("GET", "/freezes", answer)
    if became is NothingHappened:
        with pytest.raises(NothingHappened):
            await effects.happened(request(), ready, key="k-2")
    else:
        assert await effects.happened(request(), ready, key="k-2") == became
    assert system.asked[-1].query == {"id": "k-2"}


@pytest.mark.usefixtures("open_card")
async def test_what_cannot_be_asked_says_so(make: Make) -> None:
    effects = Effects(make(ONCE))
    ready = await prepared(effects)
    assert ready.settle == timedelta()
    with pytest.raises(NothingHappened, match="cannot be asked"):
        await effects.happened(request(), ready, key="k")


SAGA = """
actions:
  open_claim:
    arguments: {card: {}}
    request: {method: POST, path: /claims, body: {card: card}}
    answer: {number: text}
  dispute:
    arguments: {card: {}}
    saga:
      - {action: open_claim, arguments: [card], save: claim}
    answer: {number: {type: text, from: claim.number}}
"""


async def test_a_saga_is_made_of_steps_and_answers_from_what_they_saved(make: Make, system: CompanySystem) -> None:
    effects = Effects(make(SAGA))
    ready = await prepared(effects, name="dispute")
    assert ready.saga is not None
    assert [step.arguments["card"].value(ready.scope) for step in ready.saga] == ["1234"]
    with pytest.raises(SystemRefused, match="made of steps"):
        await effects.perform(request("dispute"), ready, key="k")
    assert not system.asked
    done = effects.finished(request("dispute"), ready, {"claim": {"number": "N1"}})
    assert done == Done({"number": "N1"})


@pytest.mark.usefixtures("open_card")
async def test_a_call_that_is_cancelled_leaves_the_system_open(make: Make, system: CompanySystem) -> None:
    effects = Effects(make(ONCE, head="breaker: {failures: 1}"))
    ready = await prepared(effects)
    system.answers("POST", "/cards/1234/freeze", never, {"state": "frozen"})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await effects.perform(request(), ready, key="k")
    assert isinstance(await effects.perform(request(), ready, key="k"), Done)


@pytest.mark.parametrize(
    "asking", [{"assistant": "published", "release": "r-1"}, {"name": "new", "assistant": "bank", "release": "r-2"}]
)
async def test_a_release_that_has_not_come_yet_is_waited_for(make: Make, asking: dict[str, str]) -> None:
    effects = Effects(make(ONCE))
    assert effects.handles(request(**asking))
    with pytest.raises(NothingHappened, match="has not come here yet"):
        await effects.prepare(request(**asking), MOMENT)


async def test_what_a_release_that_is_here_does_not_have_is_unknown(make: Make) -> None:
    effects = Effects(make(ONCE))
    assert not effects.handles(request("unknown"))
    assert await effects.prepare(request("unknown"), MOMENT) == Refused("unknown_action")
