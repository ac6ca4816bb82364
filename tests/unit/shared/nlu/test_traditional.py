from opencc import OpenCC

from shared.nlu.traditional import SIMPLIFIED, TRADITIONAL, simplified


def test_the_pairs_are_those_of_opencc() -> None:
    assert len(TRADITIONAL) == len(SIMPLIFIED) > 2500
    convert = OpenCC("t2s").convert
    assert [convert(each) for each in TRADITIONAL] == list(SIMPLIFIED)


def test_what_is_simplified_stays() -> None:
    text = "耳机坏了，我要退货！ok"
    assert simplified(text) == text
    assert simplified("plain text") == "plain text"
