"""What is not meant, and what is meant instead."""

import pytest

from services.dialogue.policy.negation import denies, meant, refused, restated


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("不要20261103001", ""),
        ("别退20261103001", ""),
        ("别退…001", ""),
        ("不要取消20261103001", ""),
        ("不退20261103001", ""),
        ("除了001", ""),
        ("不是001是002", "是002"),
        ("不是20261103001，是20261103002", "，是20261103002"),
        ("20261103002，不是20261103001", "20261103002，"),
        ("不是耳机，是键盘", "，是键盘"),
        ("不是上海，是杭州市西湖区文三路478号", "，是杭州市西湖区文三路478号"),
        ("不是个人，是上海知音科技有限公司", "，是上海知音科技有限公司"),
        ("不是第一个", ""),
        ("not 001", ""),
        ("not order 20261103001", ""),
        ("don't cancel order 20261103002", ""),
        ("please don't refund 20261103002", "please"),
        ("anything but 001", ""),
        ("everything except order 001", "everything"),
        ("002, not 001", "002,"),
        ("002 instead of 001", "002"),
        ("not 20261103001 but 20261103002", "but 20261103002"),
        ("not the keyboard, the headphones", ", the headphones"),
        ("not Shanghai, it's 478 Wensan Road", ", it's 478 Wensan Road"),
        ("not a@b.cn but c@d.cn", "but c@d.cn"),
    ],
)
def test_what_is_meant(text: str, left: str) -> None:
    assert meant(text) == left
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261103001",
        "不是",
        "不对",
        "不要了",
        "不要了，是我买错了",
        "不是我要的颜色吗",
        "是不是001",
        "我没收到20261103001",
        "不想要20261103001了",
        "20261103001不要了，退款",
        "为什么不退20261103001",
        "能不退20261103001吗",
        "别人的20261103001",
        "I have not received order 20261103001",
        "you did not refund 20261103001",
        "why was 20261103001 not sent",
        "not sure",
        "not yet, 20261103001 is still here",
    ],
)
def test_nothing_is_refused(text: str) -> None:
    assert refused(text) == []
    assert meant(text) == text


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("不是上海，是杭州市西湖区文三路478号", "杭州市西湖区文三路478号"),
        ("不对，是杭州市西湖区文三路478号", "杭州市西湖区文三路478号"),
        ("不对 应该是杭州市西湖区文三路478号", "杭州市西湖区文三路478号"),
        ("错了，是 20261103002", "20261103002"),
        ("说错了，我要的是20261103002", "20261103002"),
        ("no, I meant 20261103002", "20261103002"),
        ("Sorry, it's 20261103002.", "20261103002"),
        ("No, 20261103002", "20261103002"),
        ("actually, make it 20261103002", "20261103002"),
        ("not Shanghai, it's 478 Wensan Road", "478 Wensan Road"),
        ("不是个人，是上海知音科技有限公司", "上海知音科技有限公司"),
        ("不对", ""),
        ("no", ""),
        ("不是001", ""),
        ("杭州市西湖区文三路478号", ""),
        ("the headphones", ""),
        ("not now", ""),
        ("notebook", ""),
        ("不错", ""),
    ],
)
def test_what_is_right_instead(text: str, instead: str) -> None:
    assert restated(text) == instead


@pytest.mark.parametrize(
    "text",
    [
        "别取消",
        "别给我取消",
        "先别取消",
        "不要取消",
        "我不想取消",
        "不用取消了",
        "不取消了",
        "谁让你取消的",
        "我没要取消",
        "不是要取消",
        "don't cancel order 20261103002",
        "don’t cancel it",
        "please do not cancel my order",
        "I don't want to cancel",
        "never cancel it",
        "no need to cancel",
        "stop, do not cancel",
        "I didn't ask you to cancel",
        "not cancel",
    ],
)
def test_denies(text: str) -> None:
    assert denies(text, ["取消", "cancel"])


@pytest.mark.parametrize(
    "text",
    [
        "取消",
        "cancel it",
        "取消不取消",
        "不是要取消耳机，是要取消键盘",
        "不要了，取消吧",
        "不想等了，取消",
        "能不能取消",
        "为什么不取消",
        "怎么还不取消",
        "还不取消",
        "别人取消了",
        "不取消不行",
        "you did not cancel it",
        "why don't you cancel it",
        "I don't want it anymore, cancel it",
        "it was not cancelled",
        "don't refund, I said",
    ],
)
def test_does_not_deny(text: str) -> None:
    assert not denies(text, ["取消", "cancel"])
