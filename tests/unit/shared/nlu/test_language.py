import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("我的快递到哪了？", "zh"),
        ("订单20261103001到哪了", "zh"),
        ("T恤退款", "zh"),
        ("我的iPhone15怎么还没发货", "zh"),
        ("where is my order", "en"),
        ("OK", "en"),
        ("I", "en"),
        ("don't", "en"),
        ("帮我cancel一下order", "mixed"),
        ("where is my 快递", "mixed"),
        ("退款 please", "mixed"),
        ("20261103001", "other"),
        ("li.lei@example.com", "other"),
        ("？？？", "other"),
        ("😀", "other"),
        ("где мой заказ", "other"),
        ("ありがとうございました", "other"),
        ("", "other"),
    ],
)
def test_the_script_tells_the_language(text: str, language: str) -> None:
    assert language_of(text) == language


@given(st.text())
def test_any_text_has_a_language(text: str) -> None:
    assert language_of(text) in {"zh", "en", "mixed", "other"}
