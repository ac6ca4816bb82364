import pytest

from services.dialogue.policy.cues import (
    asks_to_repeat,
    best_match,
    hesitates,
    is_question,
    language_of,
    mentions,
    ordinal,
    ordinals,
    points,
    refers_back,
)
from shared.nlu.reading import plain


@pytest.mark.parametrize(
    ("text", "certain", "expected"),
    [
        ("我的快递到哪了", True, "zh"),
        ("退款", True, "zh"),
        ("where is my parcel", True, "en"),
        ("帮我check一下order", True, "zh"),
        ("where is my order for the 耳机", True, "en"),
        ("20261103001", True, None),
        ("20261103001", False, None),
        ("SF1234567890", False, None),
        ("ok", True, None),
        ("hello", True, None),
        ("hello", False, "en"),
        ("好", True, None),
        ("好", False, "zh"),
        ("I agree", True, "en"),
        ("👍", False, None),
        ("", False, None),
    ],
)
def test_language_of(text: str, certain: bool, expected: str | None) -> None:
    assert language_of(text, certain=certain) == expected


@pytest.mark.parametrize(
    "text",
    [
        "再说一遍",
        "不好意思，再说一遍？",
        "请重复一下",
        "你刚才问的是什么？",
        "没看懂",
        "您说什么？",
        "sorry, can you repeat that?",
        "What was your question?",
        "I didn't get that.",
        "pardon?",
        "Sorry?",
        "come again please",
    ],
)
def test_asks_to_repeat(text: str) -> None:
    assert asks_to_repeat(text)


@pytest.mark.parametrize(
    "text",
    [
        "快递员没看清地址",
        "再买一次",
        "sorry",
        "I didn't get my parcel",
        "你们卖什么",
        "what is this",
        "再说一遍" * 20,
        "",
    ],
)
def test_does_not_ask_to_repeat(text: str) -> None:
    assert not asks_to_repeat(text)


@pytest.mark.parametrize(
    "text",
    [
        "让我考虑一下",
        "稍等",
        "等一下",
        "等等",
        "我想想",
        "嗯，我再想一想吧",
        "好的，请稍等一下",
        "容我考虑考虑……",
        "那我再琢磨琢磨",
        "wait",
        "Hold on a second",
        "hang on please",
        "one moment",
        "just a minute.",
        "give me a sec",
        "Let me think",
        "ok, let me think about it first",
        "I need some time to think",
    ],
)
def test_hesitates(text: str) -> None:
    assert hesitates(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "好的",
        "等一下，我说错了",
        "我想退款",
        "等了三天还没到",
        "等等，是第二个",
        "我想想再说",
        "请稍等再发货",
        "ok",
        "wait, wrong order",
        "I think it is broken",
        "let me think about it, stop for now",
        "how long do I have to wait",
        "稍等" * 40,
    ],
)
def test_does_not_hesitate(text: str) -> None:
    assert not hesitates(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("运费多少", True),
        ("可以退吗", True),
        ("真的？", True),
        ("How long does it take", True),
        ("can I return it", True),
        ("质量太差了", False),
        ("it broke after a day", False),
    ],
)
def test_is_question(text: str, expected: bool) -> None:
    assert is_question(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("把它退了", True),
        ("这单取消吧", True),
        ("cancel it", True),
        ("that order", True),
        ("我要退款", False),
        ("item", False),
    ],
)
def test_refers_back(text: str, expected: bool) -> None:
    assert refers_back(text) is expected


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("是另一个订单", ["订单"], True),
        ("The ORDER is wrong", ["order"], True),
        ("my orders", ["order"], True),
        ("reordered", ["order"], False),
        ("e-mail, please", ["e-mail"], True),
        ("nothing", [], False),
    ],
)
def test_mentions(text: str, words: list[str], expected: bool) -> None:
    assert mentions(text, words) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("第一个", 0),
        ("第二单", 1),
        ("第 3 个", 2),
        ("两", 1),
        ("2", 1),
        ("2号", 1),
        ("最后一个", 3),
        ("最近那个", 0),
        ("the first one", 0),
        ("2nd please", 1),
        ("the last one", 3),
        ("number 4", 3),
        ("option 2", 1),
        ("the latest", 0),
        ("第九个", None),
        ("number 9", None),
        ("0", None),
        ("第一次买", None),
        ("first of all", None),
        ("last week", None),
        ("20261103001", None),
        ("那个", None),
        ("③", 2),
        ("3️⃣", 2),
        ("３", 2),
        ("倒数第二个", 2),
        ("倒数第一", 3),
        ("the second from the bottom", 2),
        ("the second to last", 2),
        ("the second last one", 2),
        ("倒数第九个", None),
        ("第一个和第二个", None),
        ("the last but one", 2),
        ("the penultimate one", 2),
        ("next to last", 2),
        ("从下往上第二个", 2),
        ("从后面数第二个", 2),
        ("上面第二个", 1),
        ("last", 3),
        ("last week's", None),
        ("the first and the second", None),
        ("前两个", None),
        ("1和2", None),
    ],
)
def test_ordinal(text: str, expected: int | None) -> None:
    assert ordinal(plain(text), 4) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("第一个和第三个", [0, 2]),
        ("1、2和4", [0, 1, 3]),
        ("前三个", [0, 1, 2]),
        ("最后两个", [2, 3]),
        ("the first two", [0, 1]),
        ("the last 3", [1, 2, 3]),
        ("前九个", [0, 1, 2, 3]),
        ("第二个，对，第二个", [1]),
        ("没有", []),
    ],
)
def test_ordinals(text: str, expected: list[int]) -> None:
    assert ordinals(text, 4) == expected


@pytest.mark.parametrize(
    "text", ["这个", "就这个吧", "对，就是它", "那个订单", "that one", "it's this one", "The only one."]
)
def test_points(text: str) -> None:
    assert points(text)


@pytest.mark.parametrize("text", ["这个？", "这个太贵", "不是这个", "not that one", "that is wrong", "", "第一个"])
def test_does_not_point(text: str) -> None:
    assert not points(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("耳机那个", 0),
        ("the earphones please", 0),
        ("the earphone", 0),
        ("T恤", 2),
        ("保温杯", 1),
        ("thermos", 1),
        ("20261103002", 1),
        ("尾号 003", 2),
        ("ending in 001", 0),
        ("202611", None),
        ("themos", 1),
        ("the earfones", 0),
        ("a tshirt", 2),
        ("thermals", None),
        ("shut", None),
        ("随便哪个", None),
        ("耳机和保温杯", None),
        ("order", None),
        ("", None),
    ],
)
def test_best_match(text: str, expected: int | None) -> None:
    candidates = [
        ["蓝牙耳机 · 20261103001", "Bluetooth earphones · 20261103001"],
        ["保温杯 · 20261103002", "Thermos cup · 20261103002"],
        ["T恤 · 20261103003", "T-shirt · 20261103003"],
    ]
    assert best_match(text, candidates) == expected


def test_words_that_several_have_say_nothing() -> None:
    assert best_match("蓝牙", [["蓝牙耳机"], ["蓝牙音箱"]]) is None
    assert best_match("蓝牙音箱", [["蓝牙耳机"], ["蓝牙音箱"]]) == 1
    assert best_match("anything", []) is None
