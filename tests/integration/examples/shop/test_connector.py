"""The demo assistant's connector, carried out by the letter against its shop: what customers get to read, and codes."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.assistants.connectors import ConnectorFiles
from tests.shop import Letter, run_shop

RULES = Path(__file__).parents[4] / "assistants" / "shop" / "rules"
ADDRESS = "北京市朝阳区建国路88号"


@pytest.fixture
async def letter(tmp_path: Path, connectors: ConnectorFiles) -> AsyncIterator[Letter]:
    async with run_shop(tmp_path / "shop", "--most-complaints", "1") as shop, aiohttp.ClientSession() as session:
        yield Letter(connectors, RULES, shop.url, session)


def scope(customer: str | None = "C1001", **arguments: Any) -> dict[str, Any]:
    return {"customer": customer, "action": uuid.uuid4().hex, "now": datetime.now(UTC).isoformat(), **arguments}


async def test_an_order_with_all_that_a_reply_may_use(letter: Letter) -> None:
    found = await letter.look_up("order", scope(order_number="20261103001"))
    assert found
    assert found["paid_at"] < found["shipped_at"] < found["last_event"].pop("at")
    for moment in ("paid_at", "shipped_at"):
        assert found.pop(moment).endswith("Z")
    assert found == {
        "order_number": "20261103001",
        "item": {"zh": "蓝牙耳机", "en": "Bluetooth earphones"},
        "amount": 299,
        "currency": "CNY",
        "status": "shipped",
        "status_text": {"zh": "已发货，运输中", "en": "shipped, on its way"},
        "delivered_at": None,
        "carrier": {"zh": "顺丰速运", "en": "SF Express"},
        "tracking_number": "SF1234567890",
        "last_event": {"zh": "已到达上海转运中心", "en": "Arrived at the Shanghai transit centre"},
        "address": "上海市浦东新区世纪大道100号",
        "refund_status": "none",
    }
    assert await letter.look_up("order", scope("C1002", order_number="20261103001")) is None
    assert await letter.look_up("order", scope(None, order_number="20261103001")) is None


@pytest.mark.parametrize(
    ("number", "outcome", "code"),
    [
        ("20261103003", "automatic", "within_limits"),
        ("20261103004", "approval", "amount_over_limit"),
        ("20261103005", "approval", "after_return_period"),
        ("20261103006", "refused", "order_cancelled"),
    ],
)
async def test_the_companys_rules_decide_on_the_shops_facts(
    letter: Letter, number: str, outcome: str, code: str
) -> None:
    found = await letter.look_up("refund_terms", scope(order_number=number))
    assert found
    assert (found["outcome"], found["reason_code"]) == (outcome, code)


async def test_a_refund_is_made_refused_or_waits(letter: Letter) -> None:
    paid = scope(order_number="20261103003", reason="太小了")
    made = await letter.act("refund", paid)
    assert (made.status, made.data["amount"], made.data["reason_code"]) == ("succeeded", 89.9, "within_limits")
    assert (await letter.act("refund", scope(order_number="20261103003", reason="x"))).code == "already_refunded"
    assert (
        await letter.act("refund", scope("C1002", order_number="20261103004", reason="x"))
    ).code == "order_not_found"
    large = scope(order_number="20261103004", reason="按键失灵")
    waits = await letter.act("refund", large)
    assert (waits.status, waits.data["amount"], waits.data["reason"]) == ("awaiting_approval", 1299, "按键失灵")
    assert (await letter.act("refund", large, approved=True)).status == "succeeded"
    requests = await letter.look_up("requests", scope())
    assert requests
    assert {each["request"]: each["status"] for each in requests["requests"]} == {"R000001": "done", "R000002": "done"}
    assert (requests["open"], requests["first"]) == ([], None)


async def test_what_the_shop_refuses_has_its_code(letter: Letter) -> None:
    for name, number, more, code in (
        ("cancel_order", "20261103001", {}, "already_shipped"),
        ("change_address", "20261103002", {"address": "家"}, "address_too_short"),
        ("request_invoice", "20261103001", {"title": "知音公司", "tax_id": "1"}, "tax_id_invalid"),
    ):
        refused = await letter.act(name, scope(order_number=number, **more))
        assert (refused.status, refused.code) == ("rejected", code)
    moved = await letter.act("change_address", scope(order_number="20261103002", address=ADDRESS))
    assert (moved.status, moved.data["address"]) == ("succeeded", ADDRESS)


async def test_a_complaint_is_filed_found_and_withdrawn(letter: Letter) -> None:
    filed = await letter.act("open_ticket", scope(subject="太慢", sentiment="furious"))
    assert (filed.status, filed.data["ticket_number"]) == ("succeeded", "T000001")
    refused = await letter.act("open_ticket", scope(subject="还是太慢"))
    assert (refused.code, refused.data["open"]) == ("too_many_tickets", 1)
    guest = await letter.act("open_ticket", scope(None, subject="没有登录"))
    assert guest.status == "succeeded"
    found = await letter.look_up("requests", scope())
    assert found
    assert (found["first"]["request"], found["first"]["kind"], found["open_count"]) == ("T000001", "ticket", 1)
    assert (await letter.act("withdraw", scope(request="T000001"))).status == "succeeded"
    assert (await letter.act("withdraw", scope(request="T000001"))).code == "already_withdrawn"
    assert (await letter.act("withdraw", scope(request="T000002"))).code == "request_not_found"
