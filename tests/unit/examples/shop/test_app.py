import asyncio
from typing import Any

import pytest

from tests.calls import Calls
from tests.shop import KEY

ORDER = "/customers/C1001/orders/20261103003"
METHODS = ("get", "put", "post", "delete", "patch")


async def document(calls: Calls) -> dict[str, Any]:
    found: dict[str, Any] = (await calls.get("/openapi.json")).body
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


async def test_nothing_but_health_is_for_everybody(calls: Calls) -> None:
    assert (await calls.get("/health")).body == {"status": "ok"}
    for method, path, _ in operations(await document(calls)):
        if path == "/health":
            continue
        for token in (None, "wrong", "密钥".encode().decode("latin-1")):
            answer = await calls.send(method.upper(), path.format(customer="C1001", number="R1"), token=token)
            assert (answer.status, answer.body["code"]) == (401, "unauthorised"), (method, path)


async def test_the_document_says_what_each_operation_is(calls: Calls) -> None:
    found = await document(calls)
    every = operations(found)
    assert len({operation["operationId"] for _, _, operation in every}) == len(every)
    for method, path, operation in every:
        assert operation["description"], (method, path)
        assert operation["summary"] != operation["operationId"]
        if path != "/health" and not path.startswith("/faults"):
            assert "application/problem+json" in operation["responses"]["401"]["content"]
            assert operation["security"]
        if method in ("post", "put") and not path.startswith(("/checks", "/faults")):
            assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]], path
    assert found["components"]["schemas"]["Problem"]["properties"]["code"]
    assert "HTTPValidationError" not in found["components"]["schemas"]


async def test_a_customer_and_what_they_bought(calls: Calls) -> None:
    assert (await calls.get("/customers/C1001", token=KEY)).body["name"]["en"] == "Li Lei"
    page = (await calls.get("/customers/C1001/orders?limit=2&offset=4", token=KEY)).body
    assert (len(page["orders"]), page["total"]) == (2, 6)
    order = (await calls.get("/customers/C1001/orders/%2020261103003", token=KEY)).body
    assert (order["amount_fen"], order["status_text"]["zh"]) == (8990, "已送达")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/customers/C9999", "customer_not_found"),
        ("/customers/C9999/orders", "customer_not_found"),
        ("/customers/C9999/cases", "customer_not_found"),
        ("/customers/C1002/orders/20261103003", "order_not_found"),
        ("/customers/%00/orders/20261103003", "order_not_found"),
        ("/customers/C1001/cases/T000001", "case_not_found"),
        ("/customers/C1001/orders/a/b", "not_found"),
        ("/nothing", "not_found"),
    ],
)
async def test_what_is_not_there(calls: Calls, path: str, code: str) -> None:
    answer = await calls.get(path, token=KEY)
    assert (answer.status, answer.body["code"], answer.content_type) == (404, code, "application/problem+json")


async def test_an_effect_needs_a_key_and_is_made_once_for_it(calls: Calls) -> None:
    body = {"reason": "太小了"}
    without = await calls.post(f"{ORDER}/refund", json=body, token=KEY)
    assert (without.status, without.body["errors"][0]["field"]) == (422, "header.Idempotency-Key")
    keys = {"Idempotency-Key": "a-1"}
    answers = await asyncio.gather(
        *(calls.post(f"{ORDER}/refund", json=body, token=KEY, headers=keys) for _ in range(12))
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len((await calls.get("/customers/C1001/cases", token=KEY)).body["cases"]) == 1
    other = await calls.post(f"{ORDER}/refund", json={"reason": "x"}, token=KEY, headers=keys)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    elsewhere = await calls.post(f"{ORDER}/cancellation", token=KEY, headers=keys)
    assert elsewhere.body["code"] == "idempotency_key_reused"


async def test_every_effect_once(calls: Calls) -> None:
    async def do(method: str, path: str, body: object = None) -> Any:
        return await calls.send(method, path, json=body, token=KEY, headers={"Idempotency-Key": path})

    cancelled = await do("POST", "/customers/C1001/orders/20261103002/cancellation")
    assert (cancelled.status, cancelled.body["status"], cancelled.body["refunded"]) == (201, "cancelled", True)
    history = (await calls.get("/customers/C1001/orders/20261103002/events", token=KEY)).body["events"]
    assert [each["en"] for each in history] == ["Payment received", "Cancelled and refunded"]
    tea = {"number": "N-1", "item": {"zh": "茶", "en": "tea"}, "amount_fen": 100, "address": "北京市朝阳区建国路88号"}
    placed = await do("POST", "/customers/C1001/orders", tea)
    assert (placed.status, placed.body["status"]) == (201, "paid")
    moved = await do("PUT", "/customers/C1002/orders/20261104003/address", {"address": "北京市朝阳区建国路88号"})
    assert (moved.status, moved.body["address"]) == (200, "北京市朝阳区建国路88号")
    invoice = await do("POST", "/customers/C1001/orders/20261103001/invoice", {"title": "个人"})
    assert (invoice.status, invoice.body["number"]) == (201, "INV00000001")
    refused = await do("POST", "/customers/C1001/orders/20261103001/cancellation")
    assert (refused.status, refused.body["code"]) == (409, "already_shipped")
    assert refused.content_type == "application/problem+json"
    complaint = await do("POST", "/complaints", {"subject": "太慢", "customer": "C1001"})
    number = complaint.body["number"]
    assert (await calls.get(f"/customers/C1001/cases/{number}", token=KEY)).body["status"] == "open"
    withdrawn = await do("POST", f"/customers/C1001/cases/{number}/withdrawal")
    assert withdrawn.body["status"] == "withdrawn"


async def test_checks_change_nothing_and_need_no_key(calls: Calls) -> None:
    question = {"customer": "C1001", "order_number": "20261103002", "address": "家"}
    answer = await calls.post("/checks/address", json=question, token=KEY)
    assert answer.body["order"]["status"] == "paid"
    assert answer.body["address"]["problem"] == "address_too_short"
    assert (await calls.post("/checks/address", json={}, token=KEY)).body == {"order": None, "address": None}
    invoice = await calls.post("/checks/invoice", json={"tax_id": "1"}, token=KEY)
    assert invoice.body == {"order": None, "details": {"valid": False, "problem": "tax_id_invalid"}}
    others = await calls.post("/checks/invoice", json={"customer": "C1002", "order_number": "20261103002"}, token=KEY)
    assert others.body["code"] == "order_not_found"


@pytest.mark.parametrize(
    "sent",
    ["", "null", "[]", "{", '{"reason": 7}', '{"reason": "x", "more": 1}', '{"reason": ""}', "[" * 60_000, "\xff"],
)
async def test_what_is_not_valid_is_said_field_by_field(calls: Calls, sent: str) -> None:
    answer = await calls.post(
        f"{ORDER}/refund", data=sent.encode("latin-1"), token=KEY, headers={"Idempotency-Key": "k"}
    )
    assert answer.status in (400, 422)
    assert answer.content_type == "application/problem+json"
    assert answer.body["code"] in ("invalid_request", "bad_request")


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a b", "密"])
async def test_a_key_is_of_plain_characters(calls: Calls, key: str) -> None:
    sent = {"Idempotency-Key": key.encode().decode("latin-1")}
    answer = await calls.post(f"{ORDER}/cancellation", token=KEY, headers=sent)
    assert (answer.status, answer.body["code"]) == (422, "invalid_request")
