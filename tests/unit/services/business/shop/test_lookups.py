from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.models import Order
from services.business.shop.seed import seed
from services.dialogue.assistant.schema import BusinessFile
from shared.assistants.yaml_source import Mistakes, read_documents
from shared.storage.database import Database
from tests.calls import Answer, Calls
from tests.tokens import TokenFactory
from tests.unit.services.business.performing import perform

Ask = Any

SHOP = Path(__file__).parents[5] / "assistants" / "shop"
ADDRESS = "北京市朝阳区建国路88号"
LOOKUPS = ["order", "orders", "refund_terms", "cancel_terms", "address_terms", "invoice_terms"]


class Asking:
    """Asks as dialogue does."""

    def __init__(self, calls: Calls, tokens: TokenFactory) -> None:
        self._calls = calls
        self._tokens = tokens

    async def __call__(
        self, name: str, customer: str | None = "C1001", tenant: str = "default", **arguments: Any
    ) -> Answer:
        token = self._tokens.issue("dialogue", roles=(), scopes={"business:lookup"}, tenant=tenant)
        body = {"customer": customer, "arguments": arguments}
        return await self._calls.post(f"/v1/lookups/{name}", json=body, token=token)

    async def data(self, name: str, customer: str | None = "C1001", **arguments: Any) -> Any:
        answer = await self(name, customer, **arguments)
        assert answer.status == 200, answer.text
        assert answer.body["found"]
        assert answer.body["name"] == name
        return answer.body["data"]


@pytest.fixture
def asking(untouched: Calls, tokens: TokenFactory) -> Asking:
    return Asking(untouched, tokens)


@pytest.fixture
def asking_after(calls: Calls, tokens: TokenFactory) -> Asking:
    """Asks a shop in which the test has done something."""
    return Asking(calls, tokens)


async def test_an_order_on_its_way(asking: Asking) -> None:
    data = await asking.data("order", order_number=" 20261103001 ")

    assert data["paid_at"].endswith("Z")
    assert data["shipped_at"] > data["paid_at"]
    assert data["last_event"].pop("at") > data["shipped_at"]
    del data["paid_at"], data["shipped_at"]
    assert data == {
        "order_number": "20261103001",
        "status": "shipped",
        "status_text": {"zh": "已发货，运输中", "en": "shipped, on its way"},
        "item": {"zh": "蓝牙耳机", "en": "Bluetooth earphones"},
        "amount": 299.0,
        "currency": "CNY",
        "delivered_at": None,
        "carrier": {"zh": "顺丰速运", "en": "SF Express"},
        "tracking_number": "SF1234567890",
        "last_event": {"zh": "已到达上海转运中心", "en": "Arrived at the Shanghai transit centre"},
        "address": "上海市浦东新区世纪大道100号",
        "refund_status": "none",
    }


async def test_an_order_that_was_not_shipped(asking: Asking) -> None:
    data = await asking.data("order", order_number="20261103002")

    assert (data["status"], data["carrier"], data["tracking_number"], data["shipped_at"]) == ("paid", None, None, None)


async def test_the_newest_orders(asking: Asking) -> None:
    data = await asking.data("orders")

    numbers = [order["order_number"] for order in data["orders"]]
    assert data["count"] == 6
    assert numbers == ["20261103002", "20261103001", "20261103003", "20261103004", "20261103005"]
    assert set(data["orders"][0]) == {"order_number", "item", "status", "status_text", "amount", "currency"}
    assert await asking.data("orders", "C1003") == {"orders": [], "count": 0}


@pytest.mark.parametrize(
    ("number", "outcome", "reason_code"),
    [
        ("20261103003", "automatic", "within_limits"),
        ("20261103004", "approval", "amount_over_limit"),
        ("20261103005", "approval", "after_return_period"),
        ("20261103006", "refused", "order_cancelled"),
    ],
)
async def test_the_terms_of_a_refund(asking: Asking, number: str, outcome: str, reason_code: str) -> None:
    data = await asking.data("refund_terms", order_number=number)

    assert (data["outcome"], data["reason_code"]) == (outcome, reason_code)
    assert {"amount", "item"} <= set(data)


async def test_the_terms_follow_what_was_done(asking_after: Asking, ledger: Ledger, ask: Ask) -> None:
    await perform(ledger, ask("refund", order_number="20261103003"))
    await perform(ledger, ask("refund", order_number="20261103004"))

    assert (await asking_after.data("order", order_number="20261103003"))["status"] == "refunded"
    assert (await asking_after.data("order", order_number="20261103003"))["refund_status"] == "done"
    assert (await asking_after.data("order", order_number="20261103004"))["refund_status"] == "pending"
    assert (await asking_after.data("refund_terms", order_number="20261103004"))["reason_code"] == "refund_pending"
    assert (await asking_after.data("cancel_terms", order_number="20261103003"))["reason_code"] == "already_refunded"


async def test_the_terms_of_cancelling(asking: Asking) -> None:
    assert (await asking.data("cancel_terms", order_number="20261103002"))["allowed"] is True
    shipped = await asking.data("cancel_terms", order_number="20261103001")
    assert (shipped["allowed"], shipped["reason_code"]) == (False, "already_shipped")


@pytest.mark.parametrize(
    ("arguments", "allowed", "valid", "reason_code", "normalized"),
    [
        ({}, None, None, None, None),
        ({"order_number": "20261103002"}, True, None, "not_shipped", None),
        ({"order_number": "20261103001"}, False, None, "already_shipped", None),
        ({"address": f" {ADDRESS}。"}, None, True, None, ADDRESS),
        ({"address": "随便"}, None, False, "address_too_short", None),
        ({"address": "随便", "order_number": None}, None, False, "address_too_short", None),
        ({"order_number": "20261103002", "address": "不知道在哪里"}, True, False, "address_incomplete", None),
        ({"order_number": "20261103001", "address": "不知道在哪里"}, False, False, "already_shipped", None),
        ({"order_number": "20261103002", "address": ADDRESS}, True, True, "not_shipped", ADDRESS),
    ],
)
async def test_the_terms_of_another_address(
    asking: Asking, arguments: dict[str, Any], allowed: Any, valid: Any, reason_code: Any, normalized: Any
) -> None:
    data = await asking.data("address_terms", **arguments)

    given = (data["allowed"], data["valid"], data["reason_code"], data["normalized"])
    assert given == (allowed, valid, reason_code, normalized)


@pytest.mark.parametrize(
    ("arguments", "allowed", "valid", "reason_code"),
    [
        ({}, None, None, None),
        ({"order_number": "20261103003"}, True, None, "invoice_available"),
        ({"order_number": "20261103006"}, False, None, "order_cancelled"),
        ({"title": "上海知音科技有限公司"}, None, True, None),
        ({"title": "1"}, None, False, "title_invalid"),
        ({"tax_id": "91440300-708461136t"}, None, True, None),
        ({"tax_id": "914403007084611361", "title": ""}, None, False, "tax_id_invalid"),
        ({"order_number": "20261103003", "title": "个人"}, True, True, "invoice_available"),
    ],
)
async def test_the_terms_of_an_invoice(
    asking: Asking, arguments: dict[str, Any], allowed: Any, valid: Any, reason_code: Any
) -> None:
    data = await asking.data("invoice_terms", **arguments)

    assert (data["allowed"], data["valid"], data["reason_code"]) == (allowed, valid, reason_code)


@pytest.mark.parametrize("name", [name for name in LOOKUPS if name != "orders"])
async def test_somebody_elses_order_looks_like_one_that_does_not_exist(asking: Asking, name: str) -> None:
    foreign = await asking(name, order_number="20261104001")
    unknown = await asking(name, order_number="29999999999")
    odd = await asking(name, order_number="' OR 1=1 --")
    nobody = await asking(name, None, order_number="20261103001")

    assert foreign.status == 200
    assert foreign.body == {"name": name, "found": False, "data": {}}
    assert foreign.body == unknown.body == odd.body == nobody.body


async def test_who_is_no_customer_has_no_orders(asking: Asking) -> None:
    for customer in (None, "C9999"):
        assert (await asking("orders", customer)).body == {"name": "orders", "found": False, "data": {}}


async def test_another_tenants_orders_do_not_exist(asking_after: Asking, database: Database) -> None:
    await seed(database, "other")
    async with database.transaction("other") as session:
        await session.execute(update(Order).where(Order.number == "20261103001").values(item_zh="别家的"))

    here = await asking_after("order", order_number="20261103001")
    there = await asking_after("order", tenant="other", order_number="20261103001")
    nowhere = await asking_after("order", tenant="third", order_number="20261103001")

    assert here.body["data"]["item"]["zh"] == "蓝牙耳机"
    assert there.body["data"]["item"]["zh"] == "别家的"
    assert nowhere.body == {"name": "order", "found": False, "data": {}}


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("order", {}, "arguments.order_number"),
        ("order", {"order_number": ""}, "arguments.order_number"),
        ("order", {"order_number": 20261103001}, "arguments.order_number"),
        ("order", {"order_number": "1" * 65}, "arguments.order_number"),
        ("address_terms", {"address": "x" * 1001}, "arguments.address"),
        ("invoice_terms", {"title": ["x"]}, "arguments.title"),
    ],
)
async def test_arguments_that_do_not_fit_are_named(
    asking: Asking, name: str, arguments: dict[str, Any], field: str
) -> None:
    answer = await asking(name, **arguments)

    assert answer.status == 422
    assert answer.content_type == "application/problem+json"
    assert [error["field"] for error in answer.body["errors"]] == [field]


async def test_the_look_ups_are_listed_with_their_arguments(untouched: Calls, tokens: TokenFactory) -> None:
    answer = await untouched.get("/v1/lookups", token=tokens.issue("dialogue", roles=(), scopes={"business:lookup"}))

    assert answer.status == 200
    listed = {lookup["name"]: lookup for lookup in answer.body["lookups"]}
    assert list(listed) == [*LOOKUPS, "requests", "request"]
    assert listed["order"]["arguments"]["required"] == ["order_number"]
    assert all(lookup["description"].endswith(".") for lookup in listed.values())


def names_in(value: Any) -> set[str]:
    """The dotted names in an answer; below a list they are those of its items, and texts in both languages are one."""
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for name, below in value.items():
        if name not in ("zh", "en"):
            found |= {name} | {f"{name}.{each}" for each in names_in(below)}
    return found


def declared(kind: str) -> dict[str, set[str]]:
    """What the demo's flows believe that each look-up or action gives."""
    document, *_ = read_documents(SHOP / "flows" / "business.yml", "business.yml", Mistakes())
    business = BusinessFile.model_validate(document.value)
    return {name: set(offer.gives or ()) for name, offer in getattr(business, kind).items()}


async def test_every_look_up_gives_what_the_demo_declares_and_nothing_else(
    asking_after: Asking, ledger: Ledger, ask: Ask
) -> None:
    await perform(ledger, ask("refund", order_number="20261103004", reason="broken"))
    await perform(ledger, ask("open_ticket", subject="a complaint"))
    asked: list[tuple[str, dict[str, str]]] = [
        ("order", {"order_number": "20261103001"}),
        ("orders", {}),
        ("refund_terms", {"order_number": "20261103001"}),
        ("cancel_terms", {"order_number": "20261103001"}),
        ("address_terms", {"address": ADDRESS}),
        ("requests", {}),
        ("request", {"request": "R000001"}),
        ("invoice_terms", {"title": "个人"}),
    ]
    given = {name: names_in(await asking_after.data(name, **arguments)) for name, arguments in asked}
    assert given == declared("lookups")


async def test_every_action_gives_what_the_demo_declares_and_nothing_else(
    database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    ledger = Ledger(database, rules, settings.model_copy(update={"tickets_per_customer": 1}))
    done = [
        ask("refund", order_number="20261103004", reason="broken"),
        ask("withdraw", request="R000001"),
        ask("change_address", order_number="20261103002", address=ADDRESS),
        ask("cancel_order", order_number="20261103002"),
        ask("request_invoice", order_number="20261103003", title="个人", email="a@example.com"),
        ask("open_ticket", subject="a complaint"),
        ask("open_ticket", subject="one too many"),
    ]
    given = dict[str, set[str]]()
    for request in done:
        result = await perform(ledger, request)
        assert result
        given[result.name] = given.get(result.name, set()) | names_in(result.data)
    assert given == declared("actions")
