import pytest

from shared.nlu.entities.amounts import find_amounts
from shared.nlu.normalisation import normalise


def read(text: str) -> list[str]:
    """The values of the longest amount in the text."""
    found = sorted(find_amounts(normalise(text).text), key=lambda each: each[0] - each[1])
    return [found[0][2]] if found else []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("三百块", "300.00 CNY"),
        ("三百五十元", "350.00 CNY"),
        ("两百块钱", "200.00 CNY"),
        ("一万三元", "13000.00 CNY"),
        ("¥299", "299.00 CNY"),
        ("￥１，２９９．５０", "1299.50 CNY"),
        ("299.9元", "299.90 CNY"),
        ("1,000,000 yuan", "1000000.00 CNY"),
        ("300RMB", "300.00 CNY"),
        ("RMB 300", "300.00 CNY"),
        ("人民币300元", "300.00 CNY"),
        ("3万元", "30000.00 CNY"),
        ("1.5k块", "1500.00 CNY"),
        ("299块5", "299.50 CNY"),
        ("299块5毛", "299.50 CNY"),
        ("12元5角3分", "12.53 CNY"),
        ("三块五", "3.50 CNY"),
        ("5毛钱", "0.50 CNY"),
        ("两角", "0.20 CNY"),
        ("299¥", "299.00 CNY"),
        ("$12.50", "12.50 USD"),
        ("US$ 5k", "5000.00 USD"),
        ("20 dollars", "20.00 USD"),
        ("1 dollar", "1.00 USD"),
        ("50 bucks", "50.00 USD"),
        ("100美元", "100.00 USD"),
        ("€20", "20.00 EUR"),
        ("20 pounds", "20.00 GBP"),
    ],
)
def test_reads_amounts_with_their_currency(text: str, value: str) -> None:
    assert read(text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "300",
        "三百五",
        "一块退",
        "两块香皂",
        "1元旦",
        "3单元502室",
        "1,29元",
        "$",
        "块",
        "5 yuanfen",
        "百百元",
        "几块钱",
    ],
)
def test_leaves_alone_what_is_no_amount(text: str) -> None:
    assert read(text) == []


def test_a_number_after_the_piece_word_is_not_its_tenths() -> None:
    assert read("299块5个杯子") == ["299.00 CNY"]
