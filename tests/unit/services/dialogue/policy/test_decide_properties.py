"""What holds for every conversation: nothing raises, all is bounded, and the same input gives the same decision."""

import re
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.values import MAX_OPTIONS, QuickReply
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import (
    ActionFinished,
    Chosen,
    Decision,
    LookedUp,
    LookupFailed,
    Opened,
    Origin,
    SessionExpired,
    TurnEvent,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.state import MAX_FRAMES, Finished, Found, Frame, Mention, Pending, State, Submitted
from shared.contracts.actions import ActionResult
from shared.contracts.understanding import (
    Entity,
    IntentScore,
    ModelRef,
    OutOfScope,
    Sentiment,
    Understanding,
)

SHOP = load_assistant(Path(__file__).parents[5] / "assistants" / "shop")
MAX_STATE = 400_000

ORDER = "20261103001"
ITEM = {"zh": "蓝牙耳机", "en": "Bluetooth earphones"}
REQUEST = {"request": "R000001", "kind_text": ITEM, "about": ITEM, "status_text": ITEM, "open": True}
PLAUSIBLE: dict[str, dict[str, Any]] = {
    "orders": {
        "orders": [
            {"order_number": f"2026110300{n}", "item": ITEM, "amount": 1.0, "status": status, "status_text": ITEM}
            for n, status in enumerate(("paid", "shipped", "delivered", "cancelled"))
        ],
        "count": 4,
    },
    "order": {"order_number": ORDER, "item": ITEM, "amount": 89.9, "status": "paid", "status_text": ITEM},
    "refund_terms": {"outcome": "automatic", "amount": 89.9, "reason_code": "within_limits"},
    "cancel_terms": {"allowed": True, "reason_code": "not_shipped"},
    "address_terms": {"allowed": True, "valid": True, "normalized": "somewhere"},
    "invoice_terms": {"allowed": True, "valid": True},
    "requests": {"requests": [REQUEST], "count": 1, "open": [REQUEST], "open_count": 1, "first": REQUEST},
    "request": REQUEST,
}

names = st.sampled_from(sorted({*SHOP.flows, "gone"}))
tasks = st.sampled_from(sorted(name for name, slots in SHOP.slots.items() if slots))
slot_names = st.sampled_from(sorted({name for slots in SHOP.slots.values() for name in slots} | {"gone"}))
step_ids = st.sampled_from(sorted({here for steps in SHOP.steps.values() for here in steps} | {"99"}))
words = st.sampled_from(
    [
        "",
        "好",
        "yes",
        "算了",
        "第一个",
        "2",
        "the last one",
        "再说一遍",
        "耳机",
        ORDER,
        "20261103002",
        "个人",
        "but",
        "订单",
        "地址",
        "它?",
        "撤销申请",
        "别退",
        "不是",
        "审核了吗",
    ]
)
texts = words | st.lists(words, max_size=4).map(" ".join) | st.text(max_size=30)
small_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
data = st.dictionaries(
    st.sampled_from(["orders", "count", "status", "item", "outcome", "valid", "x"]), small_json, max_size=5
)
intents = st.sampled_from(["affirm", "deny", "stop", "correct", "inform"]) | st.sampled_from(
    sorted({*SHOP.intents, "unheard_of"})
)
probabilities = st.sampled_from([0.1, 0.45, 0.55, 0.8, 0.9, 1.0])
entities = st.builds(
    Entity,
    name=st.sampled_from(["order_number", "address", "company", "tax_id", "email", "unheard_of"]),
    value=st.sampled_from([ORDER, "20261103002", "上海市世纪大道100号", "a@b.cn", "x" * 600, ""]) | st.text(max_size=9),
    text=st.just("written"),
    start=st.integers(0, 40),
    end=st.integers(0, 40),
    confidence=probabilities,
    source=st.sampled_from(["pattern", "model"]),
)
scores = st.builds(IntentScore, name=intents, confidence=probabilities)
understandings = st.builds(
    Understanding,
    text=texts,
    language=st.sampled_from(["zh", "en", "mixed", "other"]),
    intent=scores,
    ranking=st.lists(scores, max_size=4).map(tuple),
    entities=st.lists(entities, max_size=3).map(tuple),
    sentiment=st.builds(
        Sentiment, label=st.sampled_from(["negative", "neutral", "positive"]), confidence=probabilities
    ),
    out_of_scope=st.builds(OutOfScope, detected=st.integers(0, 9).map(lambda n: n == 9), score=probabilities),
    model=st.just(ModelRef(name="m", version="1")),
)
CHOICES = ("yes", "no", "skip", "retry", "intent:refund", "intent:stop", "intent:nothing", "value:reason:0")
choices = st.sampled_from(CHOICES) | st.text(max_size=20)
lookup_names = st.sampled_from(sorted({*PLAUSIBLE, "unheard_of"}))
results = st.builds(
    ActionResult,
    action_id=st.just("a"),
    tenant=st.just("t"),
    name=st.sampled_from(["refund", "cancel_order", "open_ticket", "unheard_of"]),
    conversation_id=st.just("c"),
    status=st.sampled_from(["succeeded", "failed", "rejected", "awaiting_approval"]),
    data=data,
    error_code=st.none() | st.text(max_size=9),
)
origins = st.builds(
    Origin, flow=names, step=step_ids, variables=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3)
)
events: st.SearchStrategy[TurnEvent] = st.one_of(
    st.builds(Opened, language=st.sampled_from([None, "zh", "en", "fr"])),
    st.builds(Understood, understanding=understandings),
    st.builds(Understood, understanding=understandings),
    st.builds(Chosen, choice=choices),
    st.builds(UnderstandingUnavailable, text=texts),
    st.builds(LookedUp, name=lookup_names, found=st.booleans(), data=data),
    st.builds(LookupFailed, name=lookup_names),
    st.builds(ActionFinished, result=results, origin=origins),
    st.builds(SessionExpired),
)

options = st.builds(
    QuickReply,
    id=st.sampled_from(CHOICES),
    titles=st.dictionaries(st.sampled_from(["zh", "en"]), texts, max_size=2),
    intent=st.none() | intents,
    value=st.none() | st.text(max_size=9),
)
values = st.none() | st.sampled_from([ORDER, "个人", "质量问题", "text"])
loose_slots = st.dictionaries(slot_names, values, max_size=3)


@st.composite
def frames(draw: st.DrawFn, flow: str) -> Frame:
    """A flow some way through, mostly as it could be."""
    own = sorted(SHOP.slots.get(flow, {})) or ["gone"]
    steps = sorted(SHOP.steps.get(flow, {})) or ["99"]
    return Frame(
        flow=flow,
        heard=draw(texts),
        slots=draw(st.dictionaries(st.sampled_from(own), values, max_size=3) | loose_slots),
        memo=draw(st.dictionaries(st.sampled_from(steps), st.text(max_size=5), max_size=3)),
        lookups=draw(st.dictionaries(st.text(max_size=5), st.builds(Found, found=st.booleans()), max_size=12)),
        offered=draw(st.dictionaries(st.sampled_from(own), st.lists(options, max_size=3).map(tuple), max_size=2)),
        excluded=draw(st.dictionaries(st.sampled_from(own), st.text(max_size=5), max_size=2)),
        attempts=draw(st.dictionaries(st.sampled_from(own), st.integers(0, 9), max_size=2)),
        failures=draw(st.integers(0, 3)),
        mood=draw(st.sampled_from(["negative", "neutral"])),
        committed=draw(st.booleans()),
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    """A conversation in any state, most of them possible ones."""
    flows = draw(st.lists(names, max_size=6) if draw(st.integers(0, 4)) == 0 else st.lists(tasks, max_size=3))
    stack = tuple(draw(frames(flow)) for flow in flows)
    kind = draw(st.sampled_from(["slot", "confirm", "lookup", "retry", "intent", "person", "change"]))
    top = flows[-1] if flows else "gone"
    likely = {
        "slot": sorted(SHOP.slots.get(top, {})),
        "person": ["", *SHOP.slots.get(top, {})],
        "confirm": sorted(SHOP.steps.get(top, {})),
        "lookup": sorted(PLAUSIBLE),
    }.get(kind)
    name = draw(st.sampled_from(likely) if likely else slot_names)
    carried = draw(st.dictionaries(st.sampled_from(["order_number", "x"]), st.just(ORDER), max_size=1))
    return State(
        language=draw(st.sampled_from([None, "zh", "en", "fr"])),
        turn=draw(st.integers(0, 50)),
        frames=stack,
        pending=draw(
            st.none() | st.just(Pending(kind=kind, name=name, mark=draw(st.text(max_size=5)), carried=carried))
        ),
        options=draw(st.lists(options, max_size=12).map(tuple)),
        misses=draw(st.integers(0, 4)),
        actions=draw(st.integers(0, 9)),
        mentions=draw(
            st.dictionaries(st.sampled_from(["order_number", "x"]), st.just(Mention(value=ORDER, turn=20)), max_size=2)
        ),
        finished=draw(
            st.none()
            | st.builds(Finished, flow=names, slots=loose_slots, committed=st.booleans(), turn=st.integers(0, 50))
        ),
        submitted=draw(st.lists(st.builds(Submitted, flow=names, index=st.integers(0, 9)), max_size=3).map(tuple)),
        lapsed=draw(st.none() | names),
    )


def holds(state: State, event: TurnEvent) -> Decision:
    """Decide, and check what every decision has to be."""
    decision = decide(SHOP, state, event)
    assert decide(SHOP, state, event) == decision
    text = decision.state.model_dump_json()
    assert State.model_validate_json(text) == decision.state
    assert State.model_validate(decision.state.model_dump(mode="json")) == decision.state
    assert len(text) < MAX_STATE
    assert len(decision.state.frames) <= MAX_FRAMES
    assert len(decision.state.options) <= MAX_OPTIONS
    for say in decision.replies:
        assert say.language in SHOP.languages
        for language in SHOP.languages:
            rendered = SHOP.render(say.model_copy(update={"language": language}))
            assert rendered.text.strip()
            assert all(option.title and re.fullmatch(r"\S{1,128}", option.id) for option in rendered.options)
    assert [action.index for action in decision.actions] == list(range(state.actions, decision.state.actions))
    if decision.lookup is not None:
        assert decision.state.pending is not None
        assert decision.state.pending.kind == "lookup"
    return decision


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(states(), events)
def test_any_event_in_any_state(state: State, event: TurnEvent) -> None:
    holds(state, event)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, max_size=12), st.booleans())
def test_any_conversation(happened: list[TurnEvent], up: bool) -> None:
    state = State()
    for event in happened:
        decision = holds(state, event)
        for _ in range(12):
            if decision.lookup is None:
                break
            name = decision.lookup.name
            answer = LookedUp(name=name, found=True, data=PLAUSIBLE[name]) if up else LookupFailed(name=name)
            decision = holds(decision.state, answer)
        assert decision.lookup is None, "look-ups come to an end"
        state = decision.state


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(min_size=1, max_size=60), st.sampled_from(["zh", "en"]))
def test_what_a_customer_writes_is_shown_as_it_was_written(reason: str, language: str) -> None:
    frame = Frame(flow="refund", slots={"order_number": ORDER, "reason": reason})
    state = State(language=language, frames=(frame,), pending=Pending(kind="retry"))
    decision = holds(state, Chosen(choice="intent:refund"))
    while decision.lookup is not None:
        name = decision.lookup.name
        decision = holds(decision.state, LookedUp(name=name, found=True, data=PLAUSIBLE[name]))
    assert decision.replies[-1].name == "confirm_refund"
    assert reason in SHOP.render(decision.replies[-1]).text
