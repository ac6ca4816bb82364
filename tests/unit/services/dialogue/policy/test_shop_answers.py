"""Answers in the demo assistant that spend money or send papers, with whatever a model makes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.assistant_tests import DemoShop, DemoShops
from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.schema import ActionStep
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import ActionFinished, Chosen, LookedUp, Origin, TurnEvent, Understood
from services.dialogue.policy.state import State
from shared.contracts.actions import ActionRequest, ActionResult
from shared.storage.database import now
from tests.unit.services.dialogue.understandings import understanding

FOLDER = Path(__file__).parents[5] / "assistants" / "shop"
ASSISTANT = load_assistant(FOLDER)


class Customer:
    """Somebody who talks to the demo assistant in front of a real shop."""

    def __init__(self, shop: DemoShop, number: str = "C1001") -> None:
        self.shop = shop
        self.number = number
        self.conversation = 0
        self.begins()
        self.text = ""
        self.options: list[str] = []
        self.actions: list[tuple[str, dict[str, Any]]] = []
        self.waiting: list[tuple[ActionRequest, Any]] = []

    def begins(self) -> None:
        """A new conversation."""
        self.state = State(language="zh")
        self.conversation += 1

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
                    id=f"test-{self.conversation}.{call.index}",
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


def waiting_refund(customer: Customer) -> None:
    """A refund that was submitted and waits for a person."""
    customer.says("20261103004 我要退货退款", "refund")
    customer.says("质量问题", "inform")
    assert customer.says("好的", "affirm") == ["refund_accepted"]
    assert customer.result() == ["refund_awaiting_approval"]


@pytest.mark.parametrize("intent", ["stop", "refund", "cancel_order", "deny", "out_of_scope", "inform"])
@pytest.mark.parametrize(
    "text",
    [
        "我不退了，撤销申请",
        "撤销退款申请",
        "不退了",
        "我改主意了，不退了",
        "取消退款",
        "别退了",
        "撤回",
        "withdraw my refund request",
        "cancel the refund",
        "I don't want the refund anymore",
        "I changed my mind",
    ],
)
def test_a_refund_that_waits_is_withdrawn(customer: Customer, text: str, intent: str) -> None:
    waiting_refund(customer)
    assert customer.says(text, intent) == ["confirm_withdraw"]
    assert any(part in customer.text for part in ("等待人工审核", "waiting for a person"))
    assert customer.actions[-1][0] == "refund"
    assert customer.says("yes", "affirm") == ["withdraw_accepted"]
    assert customer.actions[-1] == ("withdraw", {"request": "R000001"})
    assert customer.result() == ["withdraw_succeeded"]


def test_the_withdrawn_refund_itself_is_not_told_twice(customer: Customer) -> None:
    waiting_refund(customer)
    origin = None
    customer.says("撤销申请", "stop")
    customer.says("好", "affirm")
    customer.result()
    index = next(each.index for each in customer.state.submitted if each.flow == "refund")
    origin = Origin(flow="refund", step=refund_step(), index=index)
    withdrawn = ActionResult(
        action_id="test-0", tenant="default", name="refund", conversation_id="test", status="rejected", version=2,
        error_code="withdrawn",
    )  # fmt: skip
    assert customer.happens(ActionFinished(result=withdrawn, origin=origin)) == []
    assert [each.status for each in customer.state.submitted] == ["rejected", "succeeded"]
    assert customer.says("算了", "stop") == ["nothing_to_stop"]


def refund_step() -> str:
    return next(here for here, step in ASSISTANT.steps["refund"].items() if isinstance(step, ActionStep))


@pytest.mark.parametrize("text", ["maybe", "可以吗？", "👎", "hm", "yes?"])
def test_a_withdrawal_needs_a_yes_too(customer: Customer, text: str) -> None:
    waiting_refund(customer)
    customer.says("撤销申请", "stop")
    customer.says(text, "affirm", confidence=0.99)
    assert [name for name, _ in customer.actions] == ["refund"]


def test_what_is_submitted_is_said_wherever_something_else_is_dropped(customer: Customer) -> None:
    waiting_refund(customer)
    assert customer.says("算了", "stop") == ["submitted_waiting"]
    assert "20261103004" in customer.text
    assert "撤回申请" in customer.options
    assert customer.says("我的快递到哪了？", "track_order") == ["ask_order"]
    assert customer.says("算了", "stop") == ["stopped", "submitted_waiting"]
    assert "没有提交任何" not in customer.text


def test_before_business_has_heard_of_it(customer: Customer) -> None:
    customer.says("20261103004 我要退货退款", "refund")
    customer.says("质量问题", "inform")
    customer.says("好的", "affirm")
    assert customer.says("我不退了，撤销申请", "stop") == ["submitted_pending"]
    assert customer.says("审核了吗", "faq_return_policy") == ["submitted_pending"]
    assert [name for name, _ in customer.actions] == ["refund"]


def test_money_that_went_back_is_not_withdrawn(customer: Customer) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    customer.says("不想要了", "inform")
    customer.says("确认退款", "affirm")
    assert customer.result() == ["refund_succeeded"]
    assert customer.says("我不退了，撤销申请", "stop") == ["nothing_to_withdraw"]
    assert "已退款" in customer.text
    assert [name for name, _ in customer.actions] == ["refund"]


@pytest.mark.parametrize("intent", ["faq_return_policy", "ask_capabilities", "track_order", "out_of_scope", "complain"])
@pytest.mark.parametrize(
    "text",
    [
        "审核了吗",
        "审核通过了吗",
        "我的退款怎么样了",
        "退款申请通过了吗",
        "能不能快点",
        "催一下",
        "有结果了吗",
        "has my refund been approved",
        "any update on my refund",
        "can you hurry up",
    ],
)
def test_the_state_of_a_refund(customer: Customer, text: str, intent: str) -> None:
    waiting_refund(customer)
    assert customer.says(text, intent) == ["request_list"]
    assert "R000001" in customer.text
    assert any(part in customer.text for part in ("等待人工审核", "waiting for a person"))


def test_the_state_of_what_was_submitted_in_another_conversation(customer: Customer) -> None:
    customer.says("我要投诉", "complain")
    customer.says("快递员态度很差，把包裹扔在门口", "complain")
    assert customer.result() == ["complaint_succeeded"]
    customer.begins()
    assert customer.says("工单处理得怎么样了", "ask_capabilities") == ["request_list"]
    assert "T000001" in customer.text
    assert customer.says("撤销投诉", "complain") == ["confirm_withdraw"]
    assert customer.says("嗯", "affirm") == ["withdraw_accepted"]
    assert customer.result() == ["withdraw_succeeded"]
    assert customer.says("投诉处理得怎么样了", "complain") == ["request_list"]
    assert "已由您撤回" in customer.text


def test_nothing_was_submitted(customer: Customer) -> None:
    assert customer.says("审核了吗", "faq_return_policy") == ["no_requests"]
    assert customer.says("撤销申请", "stop") == ["no_requests"]


def test_one_of_several(customer: Customer) -> None:
    waiting_refund(customer)
    customer.says("20261103005 我要退货退款", "refund")
    customer.says("质量问题", "inform")
    customer.says("好的", "affirm")
    customer.result()
    assert customer.says("撤销申请", "stop") == ["ask_withdraw_which"]
    assert customer.says("双肩包那个", "inform") == ["confirm_withdraw"]
    assert "双肩包" in customer.text
    assert customer.says("不用了", "deny") == ["withdraw_kept"]
    assert customer.says("撤销20261103004的退款申请", "stop") == ["confirm_withdraw"]
    assert "机械键盘" in customer.text


@pytest.mark.parametrize("intent", ["cancel_order", "refund", "deny", "stop", "inform"])
@pytest.mark.parametrize(
    "text",
    ["don't cancel order 20261103002", "别取消", "别取消20261103002", "不要取消我的订单", "please don't cancel it"],
)
def test_what_is_denied_is_not_begun(customer: Customer, text: str, intent: str) -> None:
    intent = "cancel_order" if intent == "refund" else intent
    assert customer.says(text, intent) == ["left_alone"]
    assert customer.state.frames == ()
    assert customer.actions == []


def test_what_is_denied_ends_what_is_under_way(customer: Customer) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says("不退了", "deny") == ["stopped"]
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says("撤销申请", "refund") == ["stopped"]
    customer.says("我要给 20261103003 退款", "refund")
    customer.says("不想要了", "inform")
    assert customer.says("别退了", "refund") == ["not_submitted"]
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says("不退了，我的包裹在哪", "track_order") == ["track_delivered"]
    assert "T恤" in customer.text


def test_a_correction_after_a_refusal_begins_again(customer: Customer) -> None:
    waiting_refund(customer)
    customer.says("撤销申请", "stop")
    customer.says("好", "affirm")
    customer.result()
    customer.says("20261103004 我要退货退款", "refund")
    customer.says("质量问题", "inform")
    assert customer.says("好的", "affirm") == ["refund_accepted"]


@pytest.mark.parametrize("text", ["对", "好", "就这个", "yes", "👍", "是的，就是它"])
def test_the_only_candidate_is_taken(customer: Customer, text: str) -> None:
    assert customer.says("我想取消订单", "cancel_order") == ["ask_cancel_order"]
    assert len(customer.state.options) == 1
    assert customer.says(text, "affirm") == ["confirm_cancel"]
    assert customer.actions == []


@pytest.mark.parametrize("text", ["maybe", "可以吗？", "不要", "好的，不用了"])
def test_the_only_candidate_is_not_taken_without_a_yes(customer: Customer, text: str) -> None:
    customer.says("我想取消订单", "cancel_order")
    assert "confirm_cancel" not in customer.says(text, "affirm")


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("算了，改地址吧", "stop"),
        ("算了，还是改地址吧", "change_address"),
        ("不取消了，改地址", "stop"),
        ("还是改收货地址吧", "correct"),
        ("never mind, change its address instead", "change_address"),
        ("actually, change the address", "affirm"),
        ("forget it, please change my address", "stop"),
    ],
)
def test_what_was_named_is_kept_for_what_is_wanted_instead(customer: Customer, text: str, intent: str) -> None:
    assert customer.says("取消保温杯", "cancel_order") == ["confirm_cancel"]
    assert customer.says(text, intent, confidence=0.7) == ["ask_address"]
    assert "20261103002" in customer.text
    assert [frame.flow for frame in customer.state.frames] == ["change_address"]
    assert customer.actions == []


@pytest.mark.parametrize("text", ["算了，取消吧", "还是取消吧", "actually, cancel", "算了，还是退款吧？", "算了"])
def test_nothing_else_is_begun_by_a_bare_word(customer: Customer, text: str) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    customer.says("不想要了", "inform")
    customer.says(text, "affirm")
    assert [frame.flow for frame in customer.state.frames] in ([], ["refund"])
    assert customer.actions == []


def test_a_request_by_its_name_is_begun_where_no_model_knows_it(customer: Customer) -> None:
    assert customer.says("取消保温杯", "out_of_scope") == ["confirm_cancel"]
    customer.says("算了", "stop")
    assert customer.says("取消", "out_of_scope") == ["out_of_scope"]
    assert customer.says("refunds are nice", "out_of_scope") == ["out_of_scope"]
    assert customer.says("cancel culture is bad", "out_of_scope") == ["out_of_scope"]
    assert customer.says("取消这个政策对大家都不公平你们知道吗", "out_of_scope") == ["out_of_scope"]


@pytest.mark.parametrize("intent", ["goodbye", "out_of_scope", "stop", "inform"])
@pytest.mark.parametrize(
    ("text", "order"),
    [("keybord", "004"), ("backpak", "005"), ("themos", "002"), ("the tshirt", "003"), ("headphones", "001")],
)
def test_a_name_that_is_misspelt(customer: Customer, text: str, order: str, intent: str) -> None:
    customer.says("I want a refund", "refund")
    customer.says(text, intent, confidence=0.7)
    assert customer.state.frames[-1].slots["order_number"] == f"20261103{order}"


@pytest.mark.parametrize("text", ["that one", "the only one", "就这一个", "只有这个啊", "it"])
def test_the_only_candidate_is_pointed_at(customer: Customer, text: str) -> None:
    customer.says("我想取消订单", "cancel_order")
    assert customer.says(text, "inform") == ["confirm_cancel"]


@pytest.mark.parametrize("text", ["这个？", "这个多少钱", "that one is too expensive", "not that one", "不是这个"])
def test_the_only_candidate_is_not_taken_by_everything_that_names_it(customer: Customer, text: str) -> None:
    customer.says("我想取消订单", "cancel_order")
    assert "confirm_cancel" not in customer.says(text, "inform")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("第一个和第二个", ["20261103002", "20261103001"]),
        ("the first and the third", ["20261103002", "20261103003"]),
        ("1和2", ["20261103002", "20261103001"]),
        ("耳机和保温杯", ["20261103002", "20261103001"]),
        ("前两个", ["20261103002", "20261103001"]),
        ("the last two", ["20261103004", "20261103005"]),
    ],
)
@pytest.mark.parametrize("intent", ["inform", "out_of_scope"])
def test_several_of_a_list_are_asked_about(customer: Customer, text: str, left: list[str], intent: str) -> None:
    customer.says("我的快递到哪了？", "track_order")
    assert customer.says(text, intent) == ["which_value"]
    assert [option.value for option in customer.state.options] == left
    assert customer.says("第二个", "inform") in (["track_shipped"], ["track_delivered"])


@pytest.mark.parametrize("intent", ["deny", "refund", "inform", "stop"])
@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("别退T恤", ["003"]),
        ("不退T恤", ["003"]),
        ("不要第一个", ["002"]),
        ("T恤除外", ["003"]),
        ("除了T恤", ["003"]),
        ("耳机和保温杯以外的", ["001", "002"]),
    ],
)
def test_what_is_not_to_be_refunded(customer: Customer, text: str, gone: list[str], intent: str) -> None:
    customer.says("我要退款", "refund")
    assert customer.says(text, intent) == ["ask_refund_order"]
    offered = [option.value for option in customer.state.options]
    assert offered
    assert not any(f"20261103{order}" in offered for order in gone)


@pytest.mark.parametrize("text", ["第一个不要，第二个", "不是第一个，是第二个", "the second one, not the first"])
def test_one_place_and_not_another(customer: Customer, text: str) -> None:
    customer.says("我要退款", "refund")
    assert customer.says(text, "correct") == ["ask_refund_reason"]
    assert customer.state.frames[-1].slots["order_number"] == "20261103001"


@pytest.mark.parametrize("intent", ["correct", "deny", "inform", "affirm"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("不是质量问题，是尺码不对", "尺码不对"),
        ("原因改成不想要了", "不想要了"),
        ("原因错了，是买错了", "买错了"),
        ("no, the reason is it is too big", "it is too big"),
        ("the reason should be wrong size", "wrong size"),
    ],
)
def test_a_reason_that_is_corrected_at_the_confirmation(
    customer: Customer, text: str, reason: str, intent: str
) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    customer.says("质量问题", "inform")
    assert customer.says(text, intent) == ["corrected", "confirm_refund"]
    assert customer.state.frames[-1].slots["reason"] == reason
    assert reason in customer.text
    assert customer.actions == []


@pytest.mark.parametrize("text", ["原因不对", "the reason is wrong"])
def test_a_reason_that_is_only_said_to_be_wrong_is_asked_for(customer: Customer, text: str) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    customer.says("质量问题", "inform")
    assert customer.says(text, "correct") == ["corrected", "ask_refund_reason"]


@pytest.mark.parametrize("text", ["我有哪些订单", "what are my orders", "20261103003"])
def test_a_complaint_is_what_is_complained_about(customer: Customer, text: str) -> None:
    assert customer.says("我要投诉", "complain") == ["ask_complaint"]
    replies = customer.says(text, "inform" if text.isdigit() else "list_orders")
    assert replies == (["ask_complaint"] if text.isdigit() else ["order_list", "resume", "ask_complaint"])
    assert customer.actions == []
    customer.says("快递员态度很差，把包裹扔在门口", "complain")
    assert customer.actions[-1][1].get("order_number") == ("20261103003" if text.isdigit() else None)


@pytest.mark.parametrize("text", ["where is my parcel", "我的快递到哪了？"])
def test_a_question_is_no_reason(customer: Customer, text: str) -> None:
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says(text, "track_order") == ["ask_order"]
    customer.begins()
    customer.says("我要给 20261103003 退款", "refund")
    assert customer.says("it never arrived", "track_order") == ["confirm_refund"]


@pytest.mark.parametrize(
    ("text", "reply"), [("👍", "thank"), ("👌🏻", "thank"), ("🙏", "thank"), ("❤️", "thank"), ("👎", "acknowledged")]
)
def test_a_sign_is_an_answer_to_an_answer(customer: Customer, text: str, reply: str) -> None:
    customer.says("20261103001 到哪了", "track_order")
    assert customer.says(text, "out_of_scope") == [reply]


def test_a_sign_at_a_list_is_no_choice(customer: Customer) -> None:
    customer.says("我的快递到哪了？", "track_order")
    assert customer.says("👍", "out_of_scope") == ["retry_order"]
    assert customer.says("3️⃣", "out_of_scope") == ["track_delivered"]


@pytest.mark.parametrize("intent", ["faq_refund_time", "track_order", "small_talk"])
@pytest.mark.parametrize("text", ["退款到账了吗", "钱退了吗", "还没批啊", "怎么这么慢", "where is my refund"])
def test_the_state_of_a_refund_however_it_is_asked_for(customer: Customer, text: str, intent: str) -> None:
    waiting_refund(customer)
    assert customer.says(text, intent) == ["request_list"]
    assert any(part in customer.text for part in ("等待人工审核", "waiting for a person"))


@pytest.mark.parametrize(
    "text", ["not the thermos, cancel the umbrella", "取消订单，不是保温杯", "别给我退T恤，退书包", "退款，不是T恤"]
)
def test_what_the_first_words_refuse_is_not_taken(customer: Customer, text: str) -> None:
    intent = "refund" if "退" in text else "cancel_order"
    assert customer.says(text, intent) in (["ask_cancel_order"], ["ask_refund_order"])
    assert "order_number" not in customer.state.frames[-1].slots


@pytest.mark.parametrize("intent", ["inform", "deny", "out_of_scope"])
@pytest.mark.parametrize("text", ["not personal, company", "不要个人，要公司", "公司的，不是个人的"])
def test_a_company_and_not_a_person(customer: Customer, text: str, intent: str) -> None:
    customer.says("20261103003 开个发票", "request_invoice")
    assert customer.says(text, intent) == ["ask_company_name"]


@pytest.mark.parametrize("text", ["抬头写李雷就行", "抬头是李雷。", "抬头：李雷", "李雷"])
def test_a_title_is_what_is_said_of_it(customer: Customer, text: str) -> None:
    customer.says("20261103003 开个发票", "request_invoice")
    assert customer.says(text, "inform") == ["ask_tax_id"]
    assert customer.state.frames[-1].slots["title"] == "李雷"


@pytest.mark.parametrize(
    "text", ["算了不要发票了", "不开发票了", "算了，别开发票了", "never mind, no need for an invoice"]
)
def test_giving_up_is_no_title(customer: Customer, text: str) -> None:
    customer.says("20261103003 开个发票", "request_invoice")
    assert customer.says(text, "stop") == ["stopped"]
    assert customer.state.frames == ()
