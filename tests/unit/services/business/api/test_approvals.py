import asyncio
from typing import Any

from services.business import repository
from services.business.actions.ledger import Ledger
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database
from tests.calls import Calls
from tests.tokens import TokenFactory
from tests.unit.services.business.performing import perform
from tests.unit.services.business.refunds import refunds_of

Ask = Any


async def test_an_approved_refund_is_paid_once_and_reported_as_the_next_version(
    calls: Calls, database: Database, agent: str, waiting: ActionRequest
) -> None:
    path = f"/v1/approvals/{waiting.id}"
    answers = await asyncio.gather(
        *(calls.post(path, json={"decision": "approve", "note": " 同意 "}, token=agent) for _ in range(5))
    )

    assert {answer.status for answer in answers} == {200}
    assert {answer.text for answer in answers} == {answers[0].text}
    body = answers[0].body
    assert (body["status"], body["version"], body["data"]["amount"]) == ("succeeded", 2, 1299.0)
    (refund,) = await refunds_of(database, "20261103004")
    assert (refund.status, refund.decided_by, refund.note) == ("done", "agent-7", "同意")
    async with database.reading("default") as session:
        record = await repository.find_action(session, waiting.id)
    assert record is not None
    assert (record.status, record.result_version) == ("succeeded", 2)


async def test_a_rejected_refund_pays_nothing_and_may_be_asked_for_again(
    calls: Calls, database: Database, ledger: Ledger, ask: Ask, agent: str, waiting: ActionRequest
) -> None:
    path = f"/v1/approvals/{waiting.id}"
    answer = await calls.post(path, json={"decision": "reject", "note": "已使用"}, token=agent)

    assert answer.status == 200
    assert (answer.body["status"], answer.body["error_code"]) == ("rejected", "approval_rejected")
    assert answer.body["data"]["note"] == "已使用"
    assert (await calls.post(path, json={"decision": "reject"}, token=agent)).body == answer.body
    otherwise = await calls.post(path, json={"decision": "approve"}, token=agent)
    assert otherwise.status == 409
    (refund,) = await refunds_of(database, "20261103004")
    assert refund.status == "rejected"
    again = await perform(ledger, ask("refund", order_number="20261103004"))
    assert again is not None
    assert again.status == "awaiting_approval"


async def test_nobody_decides_on_their_own_refund(
    calls: Calls, database: Database, tokens: TokenFactory, agent: str, waiting: ActionRequest
) -> None:
    path = f"/v1/approvals/{waiting.id}"
    own = tokens.issue("agent-8", roles={"agent"}, customer=waiting.customer)
    for decision in ("approve", "reject"):
        assert (await calls.post(path, json={"decision": decision}, token=own)).status == 403
    (refund,) = await refunds_of(database, "20261103004")
    assert refund.decided_by is None
    another = tokens.issue("agent-9", roles={"agent"}, customer="C9999")
    assert (await calls.post(path, json={"decision": "approve"}, token=another)).status == 200
    assert (await calls.post(path, json={"decision": "approve"}, token=own)).status == 403


async def test_only_what_waits_is_listed_and_can_be_decided(
    calls: Calls, ledger: Ledger, ask: Ask, agent: str, waiting: ActionRequest
) -> None:
    paid = ask("refund", order_number="20261103003")
    cancelled = ask("cancel_order", order_number="20261103002")
    for request in (paid, cancelled):
        await perform(ledger, request)

    listed = await calls.get("/v1/approvals", token=agent)

    assert [each["id"] for each in listed.body["approvals"]] == [waiting.id]
    (only,) = listed.body["approvals"]
    assert only["customer"] == "C1001"
    assert only["data"]["reason"] == "按键失灵"
    assert only["data"]["reason_code"] == "amount_over_limit"
    for identity in (paid.id, cancelled.id, "unknown"):
        assert (await calls.post(f"/v1/approvals/{identity}", json={"decision": "approve"}, token=agent)).status == 404
    await calls.post(f"/v1/approvals/{waiting.id}", json={"decision": "approve"}, token=agent)
    assert (await calls.get("/v1/approvals", token=agent)).body == {"approvals": [], "next_after": None}


async def test_lists_are_read_page_by_page(calls: Calls, ledger: Ledger, ask: Ask, agent: str) -> None:
    expected = [ask("refund", order_number=number) for number in ("20261103004", "20261103005")]
    for request in expected:
        await perform(ledger, request)

    first = (await calls.get("/v1/approvals?limit=1", token=agent)).body
    second = (await calls.get(f"/v1/approvals?limit=1&after={first['next_after']}", token=agent)).body

    assert [page["approvals"][0]["id"] for page in (first, second)] == [request.id for request in expected]
    assert second["next_after"] is None
