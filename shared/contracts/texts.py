"""Which characters people's words may have, wherever they are taken in: messages, agents' replies, names.

Refused are control characters other than a new line and a tab, and code points that are no characters: they belong to
terminals and programs. Taken away is what cannot be seen and changes how the rest is read: marks and overrides of the
direction, spaces without width, tags outside of flags, and joiners where nothing is joined. What emoji and scripts need
stays. What is left must be visible. A name is refused where a text would be changed.
"""

import re
import unicodedata

__all__ = ["PATTERN", "is_name", "legible"]

REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
BEYOND = 0xFFFE
"""The last two code points of every plane are no characters."""
LINE_END = re.compile("\r\n?")
WITHOUT_A_JOIN = "[\\s!-~\u2000-\u206f\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]"
"""Latin and Chinese letters and signs: joiners between them show nothing."""
UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
    "|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    "|[\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    f"|(?:^|(?<={WITHOUT_A_JOIN}))[\u200c\u200d]+"
    f"|[\u200c\u200d]+(?={WITHOUT_A_JOIN}|$)"
)
FLAG = "\U0001f3f4"
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs that show nothing."""
PLAIN = re.compile("[0-9A-Za-z\u4e00-\u9fff]")


_ALLOWED = "[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]"
_SEEN = (
    "[^\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u0300-\\u036f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f"
    "\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0]"
)
PATTERN = f"^{_ALLOWED}*{_SEEN}{_ALLOWED}*$"
"""What the rule comes to in an OpenAPI document, as far as a regular expression can say it."""


def legible(text: str) -> str:
    """The text as it is kept: without what cannot be seen and changes how the rest is read.

    Raises:
        ValueError: it has control characters, or nothing that can be seen.
    """
    if not text.isprintable():
        text = LINE_END.sub("\n", text)
        if REFUSED.search(text) or any(ord(each) & BEYOND == BEYOND for each in text):
            raise ValueError("there is a control character, and only new lines and tabs may be there")
        text = UNSEEN.sub(lambda found: found[0] if found[0].startswith(FLAG) else "", text)
    if not PLAIN.search(text) and not any(map(_seen, text)):
        raise ValueError("there is nothing that can be seen")
    return text


def is_name(text: str) -> bool:
    """Whether a text is one line of visible characters of which none only looks as if it were not there."""
    try:
        return legible(text) == text and FILLERS.isdisjoint(text) and not re.search("[\n\t\u2028\u2029]", text)
    except ValueError:
        return False


def _seen(character: str) -> bool:
    # Emoji that are newer than the tables of Python have no category yet.
    category = unicodedata.category(character)
    return (category[0] not in "CZM" and character not in FILLERS) or category in ("Cn", "Co", "Mc")
