"""Requests that words alone make clear, in the demo assistant's phrases."""

from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.state import Frame, State, Submitted
from services.dialogue.policy.user_input import UserInput
from services.dialogue.policy.wording import denied_flow, in_words

SHOP = load_assistant(Path(__file__).parents[5] / "assistants" / "shop")
REFUNDED = Submitted(index=0, flow="refund", about="20261103004", status="awaiting_approval")


def meant(text: str, state: State, intent: str = "small_talk", *, confirming: bool = False) -> str | None:
    said = UserInput(text=text, intent=intent, confidence=0.9)
    return in_words(TurnContext(SHOP, state), said, confirming=confirming).intent


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("审核了吗", "check_request"),
        ("我的退款进度", "check_request"),
        ("工单处理得怎么样了", "check_request"),
        ("any news on my refund", "check_request"),
        ("撤销申请", "withdraw"),
        ("把刚才的退款申请取消掉", "withdraw"),
        ("Please withdraw my complaint", "withdraw"),
        ("tax refund status", None),
        ("退款多久到账", None),
        ("取消订单", None),
        ("我要撤回来那一单", None),
        ("cancel my order", None),
        ("审核了吗" + "。" * 60, None),
    ],
)
def test_phrases(text: str, intent: str | None) -> None:
    assert meant(text, State()) == (intent or "small_talk")


@pytest.mark.parametrize(
    ("text", "intent"),
    [("能不能快点", "check_request"), ("any update?", "check_request"), ("撤回", "withdraw"), ("不退了", "withdraw")],
)
def test_what_is_only_a_follow_up(text: str, intent: str) -> None:
    assert meant(text, State()) == "small_talk"
    assert meant(text, State(submitted=(REFUNDED,))) == intent
    assert meant(text, State(submitted=(REFUNDED.model_copy(update={"status": "rejected"}),))) == "small_talk"


def test_what_was_not_submitted_yet_is_stopped() -> None:
    state = State(frames=(Frame(flow="refund"),))
    assert meant("撤销申请", state) == "stop"
    assert meant("别退了", state) == "stop"
    assert meant("别退了", state, confirming=True) == "small_talk"
    assert meant("不退了，我的包裹在哪", state, "track_order") == "track_order"
    assert meant("撤销申请", State(frames=(Frame(flow="track_order"),))) == "withdraw"
    assert meant("撤销申请", State(frames=(Frame(flow="refund", committed=True),))) == "withdraw"


def test_the_flow_that_is_not_wanted() -> None:
    context = TurnContext(SHOP, State())
    for text, name in {"别取消": "cancel_order", "don't refund it": "refund", "不用开发票": "request_invoice"}.items():
        flow = denied_flow(context, text)
        assert flow is not None
        assert flow.flow == name
    assert denied_flow(context, "取消吧") is None
