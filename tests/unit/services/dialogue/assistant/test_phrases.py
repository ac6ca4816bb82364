import pytest

from services.dialogue.assistant.phrases import pattern_of
from shared.nlu.reading import plain


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("请撤销我的申请", True),
        ("撤销申請", True),
        ("Any  News, please", True),
        ("many news", False),
        ("any newspaper", False),
        ("撤销了一个又一个很久很久以前的申请", False),
    ],
)
def test_phrases(text: str, found: bool) -> None:
    pattern = pattern_of(["撤销…申請", "any news"])
    assert pattern is not None
    assert (pattern.search(plain(text).casefold()) is not None) is found


def test_no_phrases_are_no_pattern() -> None:
    assert pattern_of([]) is None
