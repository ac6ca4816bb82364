import pytest

from shared.nlu.reading import plain, read


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("hello", "hello"),
        ("我要退貨，謝謝", "我要退货,谢谢"),
        ("Ｔ恤\u200b那\u00a0個", "T恤那 个"),
        ("雙肩包那個", "双肩包那个"),
        ("３️⃣", "3"),
        ("", ""),
    ],
)
def test_words_are_compared_in_one_form(written: str, text: str) -> None:
    assert plain(written).strip() == text


def test_what_was_read_is_shown_as_it_was_written() -> None:
    reading = read("地址是：杭州市\u200b西湖區（文三路）４７８號。")
    assert reading.as_written("杭州市西湖区(文三路)478号") == "杭州市\u200b西湖區（文三路）４７８號"
    assert reading.as_written("北京") == "北京"
    assert reading.as_written("") == ""
