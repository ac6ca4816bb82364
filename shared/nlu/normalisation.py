"""One form of a text before anything reads it: NFKC, one width, one blank, one hyphen, nothing invisible.

The form knows where each of its characters stands in what was written, so that what is found in it can be shown in the
customer's own words. Traditional characters stay, since models bring a tokenizer that reads them; who compares words
takes `reading.read`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Normalised", "normalise", "tidy"]

HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u207b\u208b\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d"
BLANKS = "\t\v\f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
BLANKS += "\u205f\u20e3\u2800\u3000"
"""What is seen as a gap. The frame of a keycap is one too: the digit in it is no part of the number that follows."""
INVISIBLE = (
    "\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Control characters, and what Unicode says to ignore by default (Default_Ignorable_Code_Point)."""
KEPT = ("<fraction>", "<super>", "<sub>")
"""Kinds of characters that NFKC would make into plain digits: 1½ is not 11/2, and 10² is not 102."""
APOSTROPHES = "\u2018\u2019\u02bc\u2032\uff07"

HALF = range(0xD800, 0xE000)
ONE_TO_ONE = (
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys(map(ord, HYPHENS), "-")
    | dict.fromkeys(map(ord, BLANKS), " ")
    | dict.fromkeys(map(ord, APOSTROPHES), "'")
    | dict.fromkeys(HALF, "\ufffd")
    | {0xFFE5: 0xA5}
)
PLAIN = re.compile("[ -~\n\r]*")
LETTERS_AND_DIGITS = {
    code: code - 0xFEE0 for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()
} | dict.fromkeys(HALF, "\ufffd")
INVISIBLES = re.compile(f"[{INVISIBLE}]")


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text in its one form, and where in `written` each of its characters comes from.

    Without places each is where it was written.
    """

    text: str
    written: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]`, which is not empty, stands in what was written."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def as_written(self, part: str) -> str:
        """A part of `text` as it was written; as it is where it does not stand there in one piece."""
        start = self.text.rfind(part)
        if start < 0 or not part:
            return part
        first, last = self.place(start, start + len(part))
        return self.written[first:last]


def normalise(written: str) -> Normalised:
    """The text as everything reads it; the time is linear in its length."""
    if PLAIN.fullmatch(written):
        return Normalised(written, written)
    text = written.translate(ONE_TO_ONE)
    if not INVISIBLES.search(text) and unicodedata.is_normalized("NFKC", text):
        return Normalised(text, written)
    parts, starts, ends = [], [], []
    for start, end in _clusters(text):
        part = _plain(text[start:end])
        parts.append(part)
        starts += [start] * len(part)
        ends += [end] * len(part)
    return Normalised("".join(parts), written, starts, ends)


def tidy(value: str) -> str:
    """A name or an address as it goes into a form: nothing invisible, single blanks, punctuation as it was written."""
    return " ".join(INVISIBLES.sub("", value.translate(LETTERS_AND_DIGITS)).split())


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """The pieces that are normalised each for itself: a character with all that may merge into it."""
    start = 0
    for place in range(1, len(text)):
        if not _merges(text[place]):
            yield start, place
            start = place
    yield start, len(text)


def _merges(character: str) -> bool:
    """Whether a character may become part of the one before it: accents, marks of half-width kana, Hangul's pieces."""
    if character < "\u0300":
        return False
    first = unicodedata.normalize("NFKD", character)[0]
    if unicodedata.category(first) in ("Mn", "Mc"):
        return True
    # Vowels and final consonants of Hangul compose without being accents.
    return "\u1161" <= first <= "\u1175" or "\u11a8" <= first <= "\u11c2"


def _plain(cluster: str) -> str:
    visible = INVISIBLES.sub("", cluster)
    kind = unicodedata.decomposition(visible[:1]).partition(" ")[0] if visible else ""
    if kind in KEPT:
        return visible
    plain = unicodedata.normalize("NFKC", visible).translate(ONE_TO_ONE)
    # A number in a circle stands before or after another without becoming a part of it.
    return f" {plain} " if kind == "<circle>" and plain.isdecimal() else plain
