"""Answers in the demo assistant that spend money or send papers, with whatever a model makes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.assistant_tests import DemoShop, DemoShops
from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import ActionFinished, Chosen, LookedUp, TurnEvent, Understood
from services.dialogue.policy.state import State
from shared.contracts.actions import ActionRequest
from shared.storage.database import now
from tests.unit.services.dialogue.understandings import understanding

FOLDER = Path(__file__).parents[5] / "assistants" / "shop"
ASSISTANT = load_assistant(FOLDER)


class Customer:
    """Somebody who talks to the demo assistant in front of a real shop."""

    def __init__(self, shop: DemoShop, number: str = "C1001") -> None:
        self.shop = shop
        self.number = number
        self.state = State(language="zh")
        self.text = ""
        self.options: list[str] = []
        self.actions: list[tuple[str, dict[str, Any]]] = []
        self.waiting: list[tuple[ActionRequest, Any]] = []

    def happens(self, event: TurnEvent) -> list[str]:
        names: list[str] = []
        texts: list[str] = []
        self.options = []
        while True:
            decision = decide(ASSISTANT, self.state, event)
            self.state = decision.state
            for say in decision.replies:
                names.append(say.name)
                rendered = ASSISTANT.render(say)
                texts.append(rendered.text)
                self.options += [option.title for option in rendered.options]
            for call in decision.actions:
                self.actions.append((call.name, dict(call.arguments)))
                request = ActionRequest(
                    id=f"test-{call.index}",
                    tenant="default",
                    name=call.name,
                    customer=self.number,
                    conversation_id="test",
                    arguments=call.arguments,
                    requested_at=now(),
                )
                self.waiting.append((request, call.origin))
            if decision.lookup is None:
                self.text = "\n".join(texts)
                return names
            answer = self.shop.lookup(decision.lookup.name, decision.lookup.arguments)
            event = LookedUp(name=decision.lookup.name, found=answer.found, data=answer.data)

    def says(self, text: str, intent: str, confidence: float = 0.95) -> list[str]:
        return self.happens(Understood(understanding=understanding(text, intent, confidence=confidence)))

    def clicks(self, choice: str) -> list[str]:
        return self.happens(Chosen(choice=choice))

    def result(self) -> list[str]:
        """The oldest action that waits is done."""
        request, origin = self.waiting.pop(0)
        return self.happens(ActionFinished(result=self.shop.perform(request), origin=origin))


@pytest.fixture(scope="module")
def shops() -> Iterator[DemoShops]:
    with DemoShops(FOLDER) as opened:
        yield opened


@pytest.fixture
def customer(shops: DemoShops) -> Customer:
    return Customer(shops.open("C1001"))


@pytest.mark.parametrize("intent", ["inform", "affirm", "out_of_scope", "request_invoice"])
@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Personal", "个人"),
        ("personal", "个人"),
        ("个人", "个人"),
        ("个人的就行", "个人"),
        ("开个人的", "个人"),
        ("个人抬头", "个人"),
        ("我自己", "个人"),
        ("私人的，谢谢", "个人"),
        ("me personally", "个人"),
        ("just for myself please", "个人"),
        ("it's a personal invoice", "个人"),
        ("不是公司，是个人", "个人"),
        ("深圳市个人护理用品有限公司", "深圳市个人护理用品有限公司"),
        ("[深圳市个人护理用品有限公司](company)", "深圳市个人护理用品有限公司"),
        ("不是个人，是上海知音科技有限公司", "上海知音科技有限公司"),
        ("不是个人，是[上海知音科技有限公司](company)", "上海知音科技有限公司"),
        ("not personal, it's Zhiyin Technology Co., Ltd.", "Zhiyin Technology Co., Ltd"),
        ("Personal Care Products Ltd", "Personal Care Products Ltd"),
        ("Company of Wolves Ltd", "Company of Wolves Ltd"),
        ("上海单位咨询有限公司", "上海单位咨询有限公司"),
    ],
)
def test_the_title_of_an_invoice(customer: Customer, text: str, title: str, intent: str) -> None:
    assert customer.says("20261103003 开个发票", "request_invoice") == ["ask_invoice_title"]
    replies = customer.says(text, intent)
    assert replies == (["ask_email"] if title == "个人" else ["ask_tax_id"])
    assert customer.state.frames[-1].slots["title"] == title


@pytest.mark.parametrize("intent", ["inform", "affirm", "request_invoice"])
@pytest.mark.parametrize(
    "text",
    [
        "company",
        "公司",
        "我公司",
        "公司的",
        "开公司抬头",
        "for my company",
        "a company",
        "单位",
        "企业",
        "对公的吧",
        "business",
    ],
)
def test_a_company_without_a_name_is_asked_for_it(customer: Customer, text: str, intent: str) -> None:
    customer.says("20261103003 开个发票", "request_invoice")
    assert customer.says(text, intent) == ["ask_company_name"]
    assert customer.says("上海知音科技有限公司", "inform") == ["ask_tax_id"]
    assert customer.state.frames[-1].slots["title"] == "上海知音科技有限公司"


def test_the_confirmation_of_an_invoice_shows_the_address(customer: Customer) -> None:
    customer.says("20261103003 开个发票", "request_invoice")
    customer.says("个人", "inform")
    assert customer.says("fapiao@example.com", "inform") == ["confirm_invoice_personal"]
    assert "fapiao@example.com" in customer.text
    assert customer.says("不对，邮箱是 leo@example.com", "correct") == ["corrected", "confirm_invoice_personal"]
    assert "leo@example.com" in customer.text
    assert customer.says("不是个人，是[上海知音科技有限公司](company)", "correct") == ["corrected", "ask_tax_id"]
    assert customer.says("91350100M000100Y43", "inform") == ["confirm_invoice_company"]
    assert "上海知音科技有限公司" in customer.text
    assert "leo@example.com" in customer.text


def test_an_invoice_without_an_address_says_so(customer: Customer) -> None:
    customer.says("20261103003 开个发票", "request_invoice")
    customer.says("个人", "inform")
    assert customer.clicks("skip") == ["confirm_invoice_personal"]
    assert "邮箱：无" in customer.text


@pytest.mark.parametrize("intent", ["inform", "deny", "stop", "refund", "correct"])
@pytest.mark.parametrize(
    "text", ["不要20261103003", "别退20261103003", "别退…003", "not 003", "anything but 003", "除了003"]
)
def test_not_that_order(customer: Customer, text: str, intent: str) -> None:
    assert customer.says("我要退款", "refund") == ["ask_refund_order"]
    assert any("20261103003" in title for title in customer.options)
    assert customer.says(text, intent) == ["ask_refund_order"]
    assert not any("20261103003" in title for title in customer.options)


@pytest.mark.parametrize("intent", ["inform", "deny", "correct"])
@pytest.mark.parametrize(
    "text",
    [
        "不是003是004",
        "不是20261103003，是20261103004",
        "004, not 003",
        "不要003，要004",
        "不是T恤，是键盘",
        "not the T-shirt, the keyboard",
    ],
)
def test_the_other_order(customer: Customer, text: str, intent: str) -> None:
    customer.says("我要退款", "refund")
    assert customer.says(text, intent) == ["ask_refund_reason"]
    assert "20261103004" in customer.text


@pytest.mark.parametrize("intent", ["correct", "inform", "deny", "change_address"])
@pytest.mark.parametrize(
    "text",
    [
        "不是上海，是[杭州市西湖区文三路478号](address)",
        "不是[上海](address)，是[杭州市西湖区文三路478号](address)",
        "不对，是杭州市西湖区文三路478号",
    ],
)
def test_an_address_that_is_corrected_while_it_is_asked(customer: Customer, text: str, intent: str) -> None:
    customer.says("20261103002 帮我改一下收货地址", "change_address")
    assert customer.says(text, intent) == ["confirm_address"]
    assert "杭州市西湖区文三路478号" in customer.text
    assert "20261103002" in customer.text


@pytest.mark.parametrize("intent", ["correct", "inform", "refund", "deny"])
@pytest.mark.parametrize(
    "text", ["20261103004", "算了还是20261103004", "不对，是20261103004", "no, I meant 20261103004"]
)
def test_another_order_while_the_reason_is_asked(customer: Customer, text: str, intent: str) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says(text, intent) == ["corrected", "ask_refund_reason"]
    assert "20261103004" in customer.text


def test_a_request_while_the_reason_is_asked(customer: Customer) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says("我有哪些订单", "list_orders") == ["order_list", "resume", "ask_refund_reason"]
