"""Passwords that are among the first that anybody would try, by how they are made.

Lists of leaked passwords are long because the same few ideas are combined: a word that many take, a walk over the
keyboard, a year or a birthday, something repeated, with a few signs around it. So a password is read as such pieces,
and what counts is how much of it is left: each piece is worth one character, every other character one. A thief who
knows the ideas tries the pieces as we do.

Letters may be written as look-alikes (`p@ssw0rd`), capital or small.
"""

import json
from collections.abc import Collection
from pathlib import Path

__all__ = ["guessable", "worth"]

ENOUGH = 5
"""What a password must be worth at least."""

SHORTEST_WALK, LONGEST_PIECE = 3, 40
LOOK_ALIKES = str.maketrans("@4083$517!|+€", "aaobessltiite")

GROUPS: dict[str, list[str]] = json.loads(Path(__file__).with_name("common-words.json").read_text(encoding="utf-8"))
WORDS = frozenset(word for lines in GROUPS.values() for line in lines for word in line.split())

ROWS = (
    "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "qwertzuiop", "azertyuiop",
    # Down the columns, and the digits' block.
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qazwsxedcrfvtgbyhnujmikolp", "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0", "!@#$%^&*()_+", "!qaz@wsx#edc$rfv", "102030405060708090",
    "1a2b3c4d5e6f7g8h9i0j", "a1b2c3d4e5f6g7h8i9j0", "147258369", "789456123", "159357", "012345678910111213",
)  # fmt: skip
WALKS = tuple(walk for row in ROWS for walk in (row, row[::-1]))


def guessable(password: str, names: Collection[str] = ()) -> bool:
    """Whether too little is left of the password; `names` are words that belong to its owner."""
    return worth(password, names) < ENOUGH


def worth(password: str, names: Collection[str] = ()) -> int:
    """How many characters are left when every piece that is easy to guess counts as one.

    Args:
        password: normalised (NFKC).
    """
    text = password.casefold()
    own = frozenset(part for name in names for part in _parts(name.casefold()))
    best = [0]
    for end in range(1, len(text) + 1):
        cheapest = best[end - 1] + 1
        for start in range(max(0, end - LONGEST_PIECE), end - 1):
            if best[start] + 1 < cheapest and _piece(text[start:end], own, text[:start]):
                cheapest = best[start] + 1
        best.append(cheapest)
    return best[-1]


def _parts(name: str) -> list[str]:
    pieces = "".join(character if character.isalnum() else " " for character in name).split()
    return [each for each in (name, *pieces, "".join(pieces)) if len(each) > 1]


def _piece(text: str, own: Collection[str], before: str) -> bool:
    """Whether this is one idea; what was said before may be said again."""
    if len(set(text)) == 1 or any(each in WORDS or each in own for each in (text, text.translate(LOOK_ALIKES))):
        return True
    return _walk(text) or _date(text) or _repeats(text) or (len(text) > 2 and text in before)


def _walk(text: str) -> bool:
    return len(text) >= SHORTEST_WALK and any(text in walk for walk in WALKS)


def _repeats(text: str) -> bool:
    """A short unit, again and again."""
    return any(text == text[:size] * (len(text) // size) for size in range(1, min(4, len(text) // 2) + 1))


def _date(digits: str) -> bool:
    """A year, or a day in any of the usual orders."""
    if not (digits.isascii() and digits.isdecimal()):
        return False
    if len(digits) == 4 and 1930 <= int(digits) <= 2039:
        return True
    if len(digits) not in (6, 8):
        return False
    year = len(digits) - 4
    orders = (
        (digits[:year], digits[year : year + 2], digits[year + 2 :]),
        (digits[4:], digits[2:4], digits[:2]),
        (digits[4:], digits[:2], digits[2:4]),
    )
    return any(
        1 <= int(month) <= 12 and 1 <= int(day) <= 31 and (len(date) == 2 or 1930 <= int(date) <= 2039)
        for date, month, day in orders
    )
