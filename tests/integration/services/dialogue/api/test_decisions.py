"""Staff decide from outside, at dialogue's address alone; a real business keeps who did."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from cli.desk import Staff, approve, dead_letters
from services.business import repository as ledger_rows
from services.business.actions.ledger import Ledger
from services.business.actions.results import GAVE_UP
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings as BusinessSettings
from services.business.shop.repository import refund_of_action
from services.business.shop.seed import reset
from shared.contracts.actions import ActionRequest, ActionResult
from shared.http.auth import Principal, TokenVerifier
from shared.storage.database import now
from tests.calls import Calls, calling
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import (
    ADMIN,
    AGENT,
    CUSTOMER,
    OPERATOR,
    SUPERVISOR,
    Neighbourhood,
    logged_in,
)
from tests.servers import serve

ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/v1/approvals", None),
    ("POST", "/v1/approvals/no-such-action", {"decision": "approve"}),
    ("GET", "/v1/dead-letters", None),
    ("POST", "/v1/dead-letters/999999/retry", None),
    ("POST", "/v1/dead-letters/999999/dismiss", {"reason": "done by hand"}),
    ("POST", "/v1/dead-letters/999999/resolve", {"happened": True, "note": "asked the bank"}),
]


@pytest.fixture
async def refund(around: Neighbourhood, guest: Customer) -> AsyncIterator[str]:
    """A refund that waits for a person, as the worker leaves it."""
    await guest.say("refund money")
    await guest.say("20261103004")
    await guest.say("the keys stick")
    options = (await guest.events())[-1]["options"]
    await guest.say(options[0]["title"], choice=options[0]["id"])
    action = await around.waiting_action()
    settings = BusinessSettings()
    ledger = Ledger(around.ledger, RuleBook(settings.rules_dir), settings)
    result = await ledger.perform(action)
    assert isinstance(result, ActionResult)
    assert result.status == "awaiting_approval"
    yield action.id
    await reset(around.ledger, "default")


async def who(around: Neighbourhood, token: str) -> Principal:
    verifier: TokenVerifier = around.dialogue.app.state.verifier
    return await verifier.verify(token)


def staff_at(around: Neighbourhood, account: Mapping[str, Any]) -> Staff:
    return Staff(username=account["username"], password=account["password"], url=around.dialogue.base_url)


async def audited(calls: Calls) -> list[dict[str, Any]]:
    """The whole audit log."""
    admin = await logged_in(calls, ADMIN)
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await calls.get(f"/v1/desk/events?after={after}&limit=200", token=admin)).body
        found, after = found + page["events"], page["next_after"]
    return found


async def test_a_refund_is_decided_from_outside_and_it_is_known_who_did(
    around: Neighbourhood, calls: Calls, guest: Customer, refund: str
) -> None:
    agent, supervisor = await logged_in(calls, AGENT), await logged_in(calls, SUPERVISOR)
    for token in (agent, supervisor):
        waiting = (await calls.get("/v1/approvals?limit=100", token=token)).body["approvals"]
        (mine,) = [each for each in waiting if each["id"] == refund]
        assert (mine["customer"], mine["conversation_id"], mine["data"]["amount"]) == (
            "C1001",
            guest.conversation,
            1299.0,
        )
    decision = {"decision": "approve", "note": " 同意 "}
    answer = await calls.post(f"/v1/approvals/{refund}", json=decision, token=supervisor)
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    async with around.ledger.reading("default") as session:
        found = await refund_of_action(session, refund)
    assert found is not None
    by = (await who(around, supervisor)).subject
    assert (found[0].decided_by, found[0].note) == (by, "同意")
    await guest.until(lambda events: "1,299" in texts(events[-1:]))

    again = await calls.post(f"/v1/approvals/{refund}", json={"decision": "approve"}, token=agent)
    assert (again.status, again.body) == (200, answer.body)
    other = await calls.post(f"/v1/approvals/{refund}", json={"decision": "reject"}, token=agent)
    assert (other.status, other.content_type) == (409, "application/problem+json")
    assert by in other.body["detail"]
    event = next(each for each in await audited(calls) if each["details"].get("action") == refund)
    assert (event["event"], event["actor"], event["conversation_id"]) == ("approved", by, guest.conversation)


async def test_the_command_needs_the_public_address_alone(
    around: Neighbourhood, calls: Calls, guest: Customer, refund: str, capsys: pytest.CaptureFixture[str]
) -> None:
    staff = staff_at(around, AGENT)
    await approve(staff, None, yes=True, note=None, as_json=True)
    assert refund in [each["id"] for each in json.loads(capsys.readouterr().out)]
    await approve(staff, refund, yes=False, note="used", as_json=False)
    assert capsys.readouterr().err == f"✓ {refund} is rejected\n"
    events = await audited(calls)
    assert [each["event"] for each in events if each["details"].get("action") == refund] == ["rejected"]


async def test_what_business_gave_up_is_decided_from_outside(
    around: Neighbourhood, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    async with around.ledger.transaction("default") as session:
        letters = []
        for number in range(3):
            request = ActionRequest(
                id=f"given-up-{number}", tenant="default", name="refund", conversation_id="c", requested_at=now()
            )
            record = ActionRecord(
                action_id=request.id,
                name=request.name,
                conversation_id=request.conversation_id,
                request=request.model_dump(mode="json"),
                status="failed",
                result={"error_code": GAVE_UP},
            )
            ledger_rows.add_action(session, record)
            letters.append(DeadLetter(action_id=record.action_id, name="refund", payload="{}", error="x", attempts=5))
            ledger_rows.add_dead_letter(session, letters[-1])
        await session.flush()
        ids = [each.id for each in letters]
    operator = await logged_in(calls, OPERATOR)
    first = (await calls.get("/v1/dead-letters?waiting=true&limit=2", token=operator)).body
    rest = (await calls.get(f"/v1/dead-letters?waiting=true&after={first['next_after']}", token=operator)).body
    assert [each["id"] for each in first["dead_letters"] + rest["dead_letters"]] == ids
    assert rest["next_after"] is None

    retried = await calls.post(f"/v1/dead-letters/{ids[0]}/retry", token=operator)
    dismissed = await calls.post(f"/v1/dead-letters/{ids[1]}/dismiss", json={"reason": "已处理"}, token=operator)
    tried = await around.waiting_action()
    assert tried.id == "given-up-0"
    await around.perform(tried, "failed")
    by = (await who(around, operator)).subject
    assert (retried.status, retried.body["retried_by"]) == (202, by)
    assert (dismissed.status, dismissed.body["dismissed_by"], dismissed.body["dismissed_because"]) == (
        200,
        by,
        "已处理",
    )
    for letter in ids[:2]:
        assert (await calls.post(f"/v1/dead-letters/{letter}/retry", token=operator)).status == 409
    staff = staff_at(around, OPERATOR)
    await dead_letters(staff, dismiss=ids[2], reason="by hand", as_json=False)
    assert capsys.readouterr().err == f"✓ {ids[2]} is left as it is\n"
    events = [each for each in await audited(calls) if each["details"].get("letter") in ids]
    assert [(each["event"], each["actor"], each["handoff_id"]) for each in events] == [
        ("letter_retried", by, None),
        ("letter_dismissed", by, None),
        ("letter_dismissed", by, None),
    ]
    assert events[1]["details"]["reason"] == "已处理"


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_each_decision_is_for_its_role_and_is_refused_as_business_says(
    calls: Calls, guest: Customer, method: str, path: str, body: Any
) -> None:
    async def status(token: str | None, sent: Any = body) -> int:
        answer = await calls.send(method, path, json=sent, token=token)
        assert answer.status < 400 or answer.content_type == "application/problem+json"
        return answer.status

    admin, agent, operator = [await logged_in(calls, each) for each in (ADMIN, AGENT, OPERATOR)]
    allowed, refused = (agent, operator) if "approvals" in path else (operator, agent)
    assert await status(None) == 401
    for token in (guest.token, await logged_in(calls, CUSTOMER), refused):
        assert await status(token) == 403
    for token in (allowed, admin):
        assert await status(token) == (200 if method == "GET" else 404)
    for bad in ({"decision": "maybe"}, {"reason": ""}, {**(body or {}), "by": "somebody else"}):
        if body is not None:
            assert await status(allowed, bad) == 422
    if method == "GET":
        for query in ("after=-1", "after=x", "limit=0", "limit=101", f"after={2**31}"):
            assert (await calls.get(f"{path}?{query}", token=allowed)).status == 422


async def test_decisions_wait_for_a_business_that_is_away(around: Neighbourhood, calls: Calls) -> None:
    agent = await logged_in(calls, AGENT)
    app = around.another(static_services={**around.addresses, "business": "127.0.0.1:1"})
    async with serve(app) as dialogue, calling(dialogue.base_url) as elsewhere:
        for answer in (
            await elsewhere.get("/v1/approvals", token=agent),
            await elsewhere.post("/v1/approvals/some-action", json={"decision": "approve"}, token=agent),
        ):
            assert (answer.status, answer.content_type) == (503, "application/problem+json")
            assert answer.headers["Retry-After"]
    assert "some-action" not in [each["details"].get("action") for each in await audited(calls)]
