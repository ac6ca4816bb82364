"""No effect without a yes: every answer of the table that is none, at every confirmation of the demo assistant."""

from pathlib import Path
from typing import Any

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import (
    ActionCall,
    Chosen,
    HandoffCall,
    LookedUp,
    TurnEvent,
    Understood,
)
from services.dialogue.policy.state import Frame, Pending, State
from tests.unit.services.dialogue.policy.answer_table import ANSWERS, ORDER
from tests.unit.services.dialogue.understandings import ranked, understanding

SHOP = load_assistant(Path(__file__).parents[5] / "assistants" / "shop")
ITEM = {"zh": "保温杯", "en": "thermos"}
NOT_YES = [text for name, texts in ANSWERS.items() if name not in ("yes", "more") for text in texts]
REQUEST = {"request": "R000001", "kind_text": ITEM, "about": ITEM, "status_text": ITEM, "open": True}
CASES: dict[str, tuple[str, dict[str, str | None], dict[str, dict[str, Any]]]] = {
    "a refund": ("refund", {"order_number": ORDER, "reason": "too big"}, {"refund_terms": {"outcome": "automatic"}}),
    "a refund that a person has to approve": (
        "refund",
        {"order_number": ORDER, "reason": "too big"},
        {"refund_terms": {"outcome": "approval"}},
    ),
    "a cancellation": ("cancel_order", {"order_number": ORDER}, {}),
    "a refund instead of a cancellation": (
        "cancel_order",
        {"order_number": ORDER, "reason": "too big"},
        {"cancel_terms": {"allowed": False, "reason_code": "already_shipped"}},
    ),
    "an address": ("change_address", {"order_number": ORDER, "address": "杭州市西湖区文三路478号"}, {}),
    "a withdrawal": ("withdraw", {}, {}),
    "a personal invoice": ("request_invoice", {"order_number": ORDER, "title": "个人", "email": None}, {}),
    "a company's invoice": (
        "request_invoice",
        {"order_number": ORDER, "title": "知音有限公司", "tax_id": "91350100M000100Y43", "email": "a@b.cn"},
        {},
    ),
}
ANSWERS_OF_BUSINESS: dict[str, dict[str, Any]] = {
    "order": {"order_number": ORDER, "item": ITEM, "amount": 89.9, "status": "paid", "status_text": ITEM},
    "orders": {"orders": [], "count": 0},
    "refund_terms": {"outcome": "automatic", "amount": 89.9},
    "cancel_terms": {"allowed": True, "reason_code": "not_shipped"},
    "address_terms": {"allowed": True, "valid": True, "normalized": "杭州市西湖区文三路478号"},
    "invoice_terms": {"allowed": True, "valid": True},
    "requests": {"requests": [REQUEST], "count": 1, "open": [REQUEST], "open_count": 1, "first": REQUEST},
    "request": REQUEST,
}


def turn(
    state: State, event: TurnEvent, terms: dict[str, dict[str, Any]]
) -> tuple[State, list[ActionCall | HandoffCall], str]:
    """The state after a turn, its effects, and the last reply."""
    effects: list[ActionCall | HandoffCall] = []
    last = ""
    while True:
        decision = decide(SHOP, state, event)
        state = decision.state
        effects += decision.actions
        effects += [decision.handoff] if decision.handoff is not None else []
        last = decision.replies[-1].name if decision.replies else last
        if decision.lookup is None:
            return state, effects, last
        name = decision.lookup.name
        event = LookedUp(name=name, found=True, data=(ANSWERS_OF_BUSINESS | terms)[name])


def confirming(case: str) -> tuple[State, str]:
    """A conversation at its confirmation."""
    flow, slots, terms = CASES[case]
    state = State(language="zh", frames=(Frame(flow=flow, slots=slots),), pending=Pending(kind="retry"))
    state, effects, reply = turn(state, Chosen(choice=f"intent:{flow}"), terms)
    assert state.pending is not None
    assert state.pending.kind == "confirm"
    assert effects == []
    return state, reply


@pytest.mark.parametrize("case", CASES)
def test_only_a_yes_is_a_yes_whatever_the_model_claims(case: str) -> None:
    state, _ = confirming(case)
    flow, _, terms = CASES[case]
    done: list[str] = []
    for text in NOT_YES:
        for claim in ("affirm", flow) if case == "a refund" else ("affirm",):
            _, effects, _ = turn(state, Understood(understanding=ranked(text, {claim: 0.99})), terms)
            done += [f"{text} ({claim})"] if effects else []
    assert done == []


@pytest.mark.parametrize("case", [case for case in CASES if "instead" not in case])
def test_a_yes_is_one_even_where_the_model_hears_something_else(case: str) -> None:
    state, _ = confirming(case)
    terms = CASES[case][2]
    missed: list[str] = []
    for text in ANSWERS["yes"]:
        for event in (
            Understood(understanding=ranked(text, {"deny": 0.6})),
            Understood(understanding=ranked(text, {"goodbye": 0.99})),
        ):
            _, effects, _ = turn(state, event, terms)
            missed += [] if len(effects) == 1 else [f"{text} ({event.kind})"]
    # Two titles of the refund's buttons are no answer to another question.
    assert [text for text in missed if not any(part in text for part in ("退款", "refund", "002"))] == []


def test_a_yes_that_goes_on_needs_a_model_that_is_sure() -> None:
    state, _ = confirming("a refund")
    for text in ANSWERS["more"]:
        for intent, chance, count in (("affirm", 0.99, 1), ("refund", 0.9, 1), ("affirm", 0.7, 0), ("thank", 0.9, 0)):
            _, effects, _ = turn(state, Understood(understanding=ranked(text, {intent: chance})), {})
            assert len(effects) == count, (text, intent, chance)


@pytest.mark.parametrize("claim", ["affirm", "deny", "inform"])
@pytest.mark.parametrize(
    "text",
    [
        "我不退了",
        "行吧，不退了",
        "我不想退了",
        "还是不退了吧",
        "甭退了",
        "i dont want to refund",
        "I do not want a refund",
        "ok, but don't refund it",
    ],
)
def test_what_is_denied_is_not_done(text: str, claim: str) -> None:
    state, _ = confirming("a refund")
    after, effects, reply = turn(state, Understood(understanding=ranked(text, {claim: 0.99})), {})
    assert effects == []
    assert (reply, after.frames) == ("not_submitted", ()) or "but" in text


@pytest.mark.parametrize(
    "text",
    [
        "好的，取消吧",
        "是的，取消订单",
        "好的，投诉你们",
        "是的，我要投诉",
        "ok cancel it",
        "yes, complain about it",
        "好的，开发票",
    ],
)
def test_a_yes_to_something_else_is_none(text: str) -> None:
    state, _ = confirming("a refund")
    for claim in ("affirm", "refund"):
        _, effects, _ = turn(state, Understood(understanding=ranked(text, {claim: 0.99})), {})
        assert effects == []


@pytest.mark.parametrize(
    "text",
    [
        "ok I will confirm tomorrow",
        "yes tomorrow",
        "好的我知道了",
        "好的收到",
        "ok got it",
        "好你们真行",
        "行，你们厉害",
        "可以是可以，就是太慢了",
        "好的，明天退",
        "sure, and pigs fly",
        "okay boomer",
        "yes, a human please",
        "嗯，帮我查物流",
        "ok, and where is my parcel",
        "yes, the blue one",
        "干嘛不退",
    ],
)
def test_a_yes_that_goes_on_about_something_else_is_none(text: str) -> None:
    for case in ("a refund", "an address", "a company's invoice"):
        state, _ = confirming(case)
        for claim in ("affirm", CASES[case][0]):
            _, effects, _ = turn(state, Understood(understanding=ranked(text, {claim: 0.99})), CASES[case][2])
            assert effects == [], (case, claim)


@pytest.mark.parametrize(("intent", "chance"), [("cancel_order", 0.6), ("affirm", 0.99)])
def test_another_request_with_a_number_corrects_nothing(intent: str, chance: float) -> None:
    state, _ = confirming("a refund")
    said = understanding("yes, and also cancel 20261103004", intent, confidence=chance)
    after, effects, _ = turn(state, Understood(understanding=said), {})
    assert effects == []
    assert next(frame for frame in after.frames if frame.flow == "refund").slots["order_number"] == ORDER


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("a refund", "好的，把钱全额退回来吧"),
        ("a cancellation", "对，取消吧"),
        ("a cancellation", "yes, cancel it please"),
        ("a withdrawal", "好的，撤回吧"),
        ("a withdrawal", "yes withdraw it"),
        ("a personal invoice", "好的，开发票吧"),
        ("an address", "嗯，改地址吧"),
        ("an address", "ok, change the address"),
    ],
)
def test_a_yes_that_goes_on_about_the_matter_is_one(case: str, text: str) -> None:
    state, _ = confirming(case)
    _, effects, _ = turn(state, Understood(understanding=ranked(text, {"affirm": 0.95})), CASES[case][2])
    assert len(effects) == 1 or "改" in text or "change" in text


def test_a_no_ends_it() -> None:
    state, _ = confirming("a refund")
    for text in ANSWERS["no"]:
        after, effects, reply = turn(state, Understood(understanding=ranked(text, {"affirm": 0.99})), {})
        assert (reply, effects, after.frames) == ("not_submitted", [], ()), text


def test_no_person_and_no_second_try_without_a_yes() -> None:
    for kind in ("person", "retry"):
        for text in NOT_YES:
            state = State(language="zh", pending=Pending(kind=kind), turn=3)
            _, effects, _ = turn(state, Understood(understanding=ranked(text, {"affirm": 0.99})), {})
            assert effects == [], (kind, text)


def test_a_person_is_asked_for_by_any_yes() -> None:
    for text in ANSWERS["yes"]:
        state = State(language="zh", pending=Pending(kind="person"), turn=3)
        _, effects, _ = turn(state, Understood(understanding=ranked(text, {"goodbye": 0.9})), {})
        if not any(part in text for part in ("退款", "refund", "002")):
            assert [type(effect) for effect in effects] == [HandoffCall], text
