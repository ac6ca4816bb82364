"""The shop through its connector says and does what the shop within business says and does."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from examples.shop.seed import ORDERS
from examples.shop.seed import seed as seed_shop
from examples.shop.store import Store
from services.business.actions.approvals import decide
from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.lookups import look_up
from services.business.shop.seed import seed as seed_business
from services.dialogue.assistant.schema import BusinessFile
from shared.assistants.connectors import ConnectorFiles, fields_given
from shared.assistants.yaml_source import Mistakes, read_documents
from shared.contracts.actions import ActionRequest
from shared.contracts.lookups import LookupRequest
from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.shop import Asked, Letter, run_shop
from tests.unit.services.business.performing import perform

CUSTOMERS = ("C1001", "C1002", "C1003", "C9999", None)
NUMBERS = (*(order.number for order in ORDERS), "20261103999", "x/y?z", "订单")
TEXTS = ("北京市朝阳区建国路88号", "some place", "家", "号" * 300, "100 Century Avenue, Pudong", "个人")
TAX_IDS = ("91350100M000100Y43", "91350100M000100Y44", "110108123456789", "1")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
RECENT = timedelta(hours=1)
REQUESTS = ("R000001", "T000001", "t000002", "T000003", "X1", "R999999999")


class Before:
    """The shop within business."""

    def __init__(self, database: Database, rules: RuleBook, settings: Settings) -> None:
        self._database = database
        self._rules = rules
        self._ledger = Ledger(database, rules, settings)

    async def look_up(self, name: str, customer: str | None, **arguments: Any) -> dict[str, Any] | None:
        question = LookupRequest(customer=customer, arguments=arguments)
        answer = await self._database.read("default", lambda unit: look_up(unit, self._rules, name, question))
        return answer.data if answer.found else None

    async def act(self, name: str, customer: str | None, **arguments: Any) -> Asked:
        request = ActionRequest(
            id=uuid.uuid4().hex,
            tenant="default",
            name=name,
            customer=customer,
            conversation_id="c-1",
            arguments=arguments,
            requested_at=datetime.now(UTC),
        )
        result = await perform(self._ledger, request)
        assert result is not None
        asked = Asked(status=result.status, code=result.error_code, data=result.data)
        if result.status == "awaiting_approval":
            await decide(self._database, "default", request.id, "approve", by="agent-7", note=None)
        return asked


@pytest.fixture
async def before(tmp_path: Path, moment: datetime) -> AsyncIterator[Before]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    await asyncio.to_thread(migrate, "business", url)
    database = Database(url)
    await seed_business(database, "default", moment)
    yield Before(database, RuleBook(Settings().rules_dir), Settings(home=tmp_path, tickets_per_customer=2))
    await database.close()


@pytest.fixture
def moment() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def now(tmp_path: Path, moment: datetime, connectors: ConnectorFiles) -> AsyncIterator[Letter]:
    store = Store(tmp_path / "shop")
    seed_shop(store, moment)
    store.close()
    async with run_shop(tmp_path / "shop", "--most-complaints", "2") as shop, aiohttp.ClientSession() as session:
        yield Letter(connectors, Settings().rules_dir, shop.url, session)


def scope(customer: str | None, **arguments: Any) -> dict[str, Any]:
    return {"customer": customer, "action": uuid.uuid4().hex, "now": datetime.now(UTC).isoformat(), **arguments}


def plain(value: Any) -> Any:
    """A value without fields that are null, which is the same as not there.

    What happened during the test happened at slightly different moments, which also order what is new.
    """
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return sorted(map(plain, value), key=lambda each: str(each.get("request", "")))
    if (
        isinstance(value, str)
        and MOMENT.fullmatch(value)
        and datetime.now(UTC) - datetime.fromisoformat(value) < RECENT
    ):
        return "just now"
    return value


def questions() -> list[tuple[str, dict[str, Any]]]:
    asked: list[tuple[str, dict[str, Any]]] = [("orders", {}), ("requests", {})]
    asked += [("request", {"request": each}) for each in REQUESTS]
    for number in NUMBERS:
        asked += [(name, {"order_number": number}) for name in ("order", "refund_terms", "cancel_terms")]
        asked += [("address_terms", {"order_number": number}), ("invoice_terms", {"order_number": number})]
        asked += [("address_terms", {"order_number": number, "address": TEXTS[1]})]
        asked += [("invoice_terms", {"order_number": number, "title": "x", "tax_id": TAX_IDS[0]})]
    asked += [("address_terms", {"address": each}) for each in TEXTS]
    asked += [("invoice_terms", {"title": each}) for each in TEXTS]
    asked += [("invoice_terms", {"tax_id": each}) for each in TAX_IDS]
    return [*asked, ("address_terms", {}), ("invoice_terms", {})]


MORE = {"refund_status", "order_number", "amount", "currency", "invoiced"}
"""Fields that `…_terms` give in addition, for actions to go by."""


def comparable(name: str, found: dict[str, Any] | None, expected: dict[str, Any] | None) -> Any:
    """An answer without what the connector says in addition."""
    value = plain(found)
    if name.endswith("_terms") and value is not None and expected is not None:
        value = {key: each for key, each in value.items() if key in expected or key not in MORE}
    return value


async def assert_same_answers(before: Before, now: Letter) -> None:
    for customer in CUSTOMERS:
        for name, arguments in questions():
            expected = await before.look_up(name, customer, **arguments)
            found = await now.look_up(name, scope(customer, **arguments))
            assert comparable(name, found, expected) == plain(expected), (customer, name, arguments)


ACTIONS: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("refund", "C1001", {"order_number": "20261103003", "reason": " 太小了 "}),
    ("refund", "C1001", {"order_number": "20261103003", "reason": "太小了"}),
    ("refund", "C1001", {"order_number": "20261103006", "reason": "太小了"}),
    ("refund", "C1001", {"order_number": "20261103004", "reason": "按键失灵"}),
    ("refund", "C1001", {"order_number": "20261103004", "reason": "按键失灵"}),
    ("refund", "C1002", {"order_number": "20261103005", "reason": "不是我的"}),
    ("refund", None, {"order_number": "20261103005", "reason": "不知是谁"}),
    ("cancel_order", "C1001", {"order_number": "20261103001"}),
    ("cancel_order", "C1001", {"order_number": "20261103005"}),
    ("cancel_order", "C1001", {"order_number": "20261103002"}),
    ("cancel_order", "C1001", {"order_number": "20261103002"}),
    ("cancel_order", "C1001", {"order_number": "20261103003"}),
    ("cancel_order", "C1001", {"order_number": "20261103006"}),
    ("refund", "C1001", {"order_number": "20261103002", "reason": "取消了"}),
    ("change_address", "C1001", {"order_number": "20261103002", "address": TEXTS[0]}),
    ("change_address", "C1001", {"order_number": "20261103001", "address": TEXTS[0]}),
    ("change_address", "C1002", {"order_number": "20261104003", "address": TEXTS[1]}),
    ("change_address", "C1002", {"order_number": "20261104003", "address": TEXTS[3]}),
    ("change_address", "C1002", {"order_number": "20261104003", "address": f"  {TEXTS[0]}。"}),
    ("request_invoice", "C1001", {"order_number": "20261103003", "title": "个人"}),
    ("request_invoice", "C1001", {"order_number": "20261103001", "title": "x", "tax_id": TAX_IDS[0]}),
    ("request_invoice", "C1001", {"order_number": "20261103001", "title": "知音公司", "tax_id": TAX_IDS[1]}),
    ("request_invoice", "C1001", {"order_number": "20261103001", "title": "知音公司", "tax_id": "91350100m000100y 43"}),
    ("request_invoice", "C1001", {"order_number": "20261103001", "title": "知音公司", "tax_id": TAX_IDS[0]}),
    ("request_invoice", "C1002", {"order_number": "20261104002", "title": "个人", "email": "mei@example.com"}),
    ("refund", "C1002", {"order_number": "20261104002", "reason": "不想要了"}),
    ("request_invoice", "C1002", {"order_number": "20261104002", "title": "个人"}),
    ("open_ticket", "C1001", {"subject": "快递太慢", "order_number": "20261103001", "sentiment": "negative"}),
    ("open_ticket", "C1001", {"subject": "字" * 40, "order_number": "20261104001", "sentiment": "furious"}),
    ("open_ticket", "C1001", {"subject": "第三次投诉"}),
    ("open_ticket", "C1001", {"subject": "第四次投诉"}),
    ("open_ticket", None, {"subject": "没有登录"}),
    ("open_ticket", "C9999", {"subject": "没有这位客户"}),
    ("withdraw", "C1001", {"request": "T000001"}),
    ("withdraw", "C1001", {"request": "T000001"}),
    ("withdraw", "C1001", {"request": "R000001"}),
    ("withdraw", "C1002", {"request": "T000002"}),
    ("withdraw", None, {"request": "T000002"}),
    ("withdraw", "C1001", {"request": "nothing"}),
)


@pytest.mark.budget(20, "every question to both shops, before and after every action")
async def test_every_answer_and_every_effect_is_the_same(before: Before, now: Letter) -> None:
    await assert_same_answers(before, now)
    for name, customer, arguments in ACTIONS:
        expected = await before.act(name, customer, **arguments)
        wanted = scope(customer, **arguments)
        found = await now.act(name, wanted)
        assert (found.status, found.code) == (expected.status, expected.code), (name, customer, arguments)
        if found.status == "awaiting_approval":
            assert (await now.act(name, wanted, approved=True)).status == "succeeded"
        if found.status != "rejected":
            more = {key: each for key, each in expected.data.items() if each is not None}
            assert {key: found.data[key] for key in more} == more, (name, customer, arguments)
    await assert_same_answers(before, now)


def test_the_connector_offers_what_the_file_of_offers_says(connectors: ConnectorFiles) -> None:
    mistakes = Mistakes()
    file = Path(__file__).parents[4] / "assistants" / "shop" / "flows" / "business.yml"
    (document,) = read_documents(file, file.name, mistakes)
    offers = document.parse(BusinessFile, mistakes)
    assert offers is not None
    assert not mistakes.found
    lookups = {name: lookup for name, (_, lookup) in connectors.lookups().items()}
    actions = {name: action for name, (_, action) in connectors.actions().items()}
    assert (set(lookups), set(actions)) == (set(offers.lookups), set(offers.actions))
    for given, parts in ((offers.lookups, lookups), (offers.actions, actions)):
        for name, offer in given.items():
            arguments = parts[name].arguments
            assert {each for each in arguments if not arguments[each].optional} == set(offer.needs), name
            assert {each for each in arguments if arguments[each].optional} == set(offer.takes), name
            assert set(offer.gives or ()) <= set(fields_given(parts[name].answer)), name
