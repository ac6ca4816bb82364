"""However a sentence is written, in wide letters, with signs that nobody sees or in traditional characters, it is read
alike at every question and at every confirmation."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import Chosen, Decision, LookedUp, UnderstandingUnavailable, Understood
from services.dialogue.policy.state import Frame, Pending, State
from shared.contracts.understanding import Understanding
from shared.nlu.reading import plain
from shared.nlu.traditional import SIMPLIFIED, TRADITIONAL
from tests.unit.services.dialogue.policy.test_effects import ANSWERS_OF_BUSINESS, ITEM, SHOP, confirming, turn
from tests.unit.services.dialogue.understandings import understanding

TRADITIONAL_OF = dict(zip(SIMPLIFIED, TRADITIONAL, strict=True))
WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)} | {" ": "\u3000"}
SIGNS = {" ": "\u00a0", "-": "\u2011", "'": "\u2019"}
UNSEEN = "\u200b\ufeff\u2060\u00ad\ufe0f\u202a\u202c\u200e"
Way = Callable[[int, str], str]
WRITTEN: dict[str, Way] = {
    "wide": lambda _, each: WIDE.get(each, each),
    "with signs that are not seen": lambda place, each: each + UNSEEN[place % len(UNSEEN)],
    "with other blanks": lambda _, each: SIGNS.get(each, each),
    "traditional": lambda _, each: TRADITIONAL_OF.get(each, each),
}

ORDERS = [
    {"order_number": f"2026110300{number}", "item": item, "amount": 9.0, "status": "paid", "status_text": ITEM}
    for number, item in enumerate(
        ({"zh": "T恤", "en": "T-shirt"}, {"zh": "双肩包", "en": "backpack"}, {"zh": "机械键盘", "en": "keyboard"}), 2
    )
]
SHOWN: Mapping[str, dict[str, Any]] = {"orders": {"orders": ORDERS, "count": len(ORDERS)}}
ORDER = "20261103002"
QUESTIONS: dict[str, State] = {}
"""Conversations at a question."""


def asked(flow: str, **slots: str | None) -> State:
    """A flow at its next question."""
    state = State(language="zh", frames=(Frame(flow=flow, slots=slots),), pending=Pending(kind="retry"))
    state, _, _ = turn(state, Chosen(choice=f"intent:{flow}"), dict(SHOWN))
    assert state.pending is not None
    return state


QUESTIONS |= {
    "which order": asked("refund"),
    "the reason": asked("refund", order_number=ORDER),
    "the address": asked("change_address", order_number=ORDER),
    "the title": asked("request_invoice", order_number=ORDER),
    "the tax number": asked("request_invoice", order_number=ORDER, title="知音有限公司"),
    "the e-mail": asked("request_invoice", order_number=ORDER, title="个人"),
    "the complaint": asked("complain"),
    "nothing": State(language="zh", turn=3),
    "a person": State(language="zh", turn=3, pending=Pending(kind="person")),
}
QUESTIONS |= {f"confirm {case}": confirming(case)[0] for case in ("a refund", "an address", "a company's invoice")}

SENTENCES = [
    ("好的", "affirm"),
    ("好的，不用了", "affirm"),
    ("可以吗？", "affirm"),
    ("yes please!", "affirm"),
    ("don't do it", "affirm"),
    ("that's right", "affirm"),
    ("yes, but change the e-mail", "affirm"),
    ("让我考虑一下…", "affirm"),
    ("let me think...", "wait"),
    ("没看懂，再说一遍", "out_of_scope"),
    ("what was your question?", "out_of_scope"),
    ("第二个", "inform"),
    ("the second one", "inform"),
    ("number 2", "inform"),
    ("倒数第二个", "inform"),
    ("尾号003", "inform"),
    ("T恤那个", "inform"),
    ("双肩包", "inform"),
    ("the T-shirt, please", "inform"),
    ("20261103003", "inform"),
    ("不是20261103002，是20261103003", "correct"),
    ("不是002是003", "correct"),
    ("not 002 but 003", "inform"),
    ("anything but the backpack", "deny"),
    ("除了键盘", "deny"),
    ("不对，是另一个订单", "correct"),
    ("别取消", "cancel_order"),
    ("别退了", "refund"),
    ("don't refund it", "refund"),
    ("算了，帮我查物流", "track_order"),
    ("撤销退款申请", "stop"),
    ("审核了吗", "faq_return_policy"),
    ("any update on my refund", "out_of_scope"),
    ("不是上海，是[杭州市西湖区文三路478号](address)", "correct"),
    ("[杭州市西湖区文三路478号A座](address)", "inform"),
    ("Personal", "inform"),
    ("just for myself, please", "inform"),
    ("不是个人，是[上海知音科技有限公司](company)", "correct"),
    ("[Bluepeak Co., Ltd.](company)", "inform"),
    ("91350100M000100Y43", "inform"),
    ("9135 0100-M000 100Y43", "inform"),
    ("leo@example.com", "inform"),
    ("确认退款", "affirm"),
    ("Yes, refund it", "affirm"),
    ("质量问题", "inform"),
    ("它收到时就坏了 - 是T恤", "complain"),
    ("把它取消", "cancel_order"),
]


def written(said: Understanding, way: Way) -> Understanding:
    """The same sentence written otherwise, with its entities where they stand in it now."""
    pieces = [way(place, each) for place, each in enumerate(said.text)]
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    text = "".join(pieces)
    entities = tuple(
        each.model_copy(
            update={"start": ends[each.start], "end": ends[each.end], "text": text[ends[each.start] : ends[each.end]]}
        )
        for each in said.entities
    )
    return said.model_copy(update={"text": text, "entities": entities})


def decisions(state: State, event: Understood | UnderstandingUnavailable) -> list[Decision]:
    """What is decided, up to the end of the turn."""
    found = [decide(SHOP, state, event)]
    while (asked := found[-1].lookup) is not None:
        data = {**ANSWERS_OF_BUSINESS, **SHOWN}[asked.name]
        found.append(decide(SHOP, found[-1].state, LookedUp(name=asked.name, found=True, data=data)))
    return found


def outcome(state: State, said: Understanding) -> list[str]:
    """What is decided, however the customer's own words in it are written, and how much of them is kept."""
    found = decisions(state, Understood(understanding=said))
    return [OWN.sub("", plain(each.model_dump_json())) for each in found]


OWN = re.compile(r'\b[0-9a-f]{16}\b|"about":"[^"]*"')


@cache
def expected(asked: str, sentence: tuple[str, str]) -> list[str]:
    """What is decided when it is written plainly."""
    return outcome(QUESTIONS[asked], understanding(*sentence))


@pytest.mark.parametrize("way", WRITTEN)
def test_a_sentence_is_read_alike_however_it_is_written(way: str) -> None:
    otherwise = []
    for sentence in SENTENCES:
        said = written(understanding(*sentence), WRITTEN[way])
        otherwise += [
            (asked, said.text)
            for asked, state in QUESTIONS.items()
            if outcome(state, said) != expected(asked, sentence)
        ]
    assert otherwise == []


@given(
    st.sampled_from(sorted(QUESTIONS)),
    st.sampled_from(SENTENCES),
    st.lists(st.sampled_from(sorted(WRITTEN)), min_size=9),
)
def test_and_so_is_a_mixture(asked: str, sentence: tuple[str, str], ways: list[str]) -> None:
    said = written(understanding(*sentence), lambda place, each: WRITTEN[ways[place % len(ways)]](place, each))
    assert outcome(QUESTIONS[asked], said) == expected(asked, sentence)


@pytest.mark.parametrize("way", WRITTEN)
def test_a_title_that_is_typed_counts_without_a_model_too(way: str) -> None:
    for asked in ("which order", "the reason", "confirm a refund"):
        state = QUESTIONS[asked]
        title = state.options[0].titles["zh"]
        typed = "".join(WRITTEN[way](place, each) for place, each in enumerate(title))
        first, *_ = decisions(state, UnderstandingUnavailable(text=typed))
        assert "understanding_unavailable" not in [say.name for say in first.replies], title


@pytest.mark.parametrize(
    ("asked", "text", "intent", "slot", "value"),
    [
        (
            "the reason",
            "包裝破了，只收到 ½ 份　👨\u200d👩\u200d👧",
            "complain",
            "reason",
            "包裝破了，只收到 ½ 份　👨\u200d👩\u200d👧",
        ),
        ("the reason", "不是质量问题，是尺碼不對", "inform", "reason", "尺碼不對"),
        ("the address", "杭州市\u200b西湖區（文三路）４７８號", "inform", "address", "杭州市西湖區（文三路）478號"),
        (
            "the address",
            "不是上海，是杭州市\u200b西湖區（文三路）４７８號",
            "correct",
            "address",
            "杭州市西湖區（文三路）478號",
        ),
        ("the tax number", "９１３５０１００\u2011Ｍ０００１００Ｙ４３", "inform", "tax_id", "91350100-M000100Y43"),
    ],
)
def test_a_value_is_in_the_customers_own_words(asked: str, text: str, intent: str, slot: str, value: str) -> None:
    found = decisions(QUESTIONS[asked], Understood(understanding=understanding(text, intent)))
    assert found[-1].state.frames[-1].slots[slot] == value
