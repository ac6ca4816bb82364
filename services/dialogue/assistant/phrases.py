"""Phrases of an assistant's files as patterns.

In a phrase … stands for a few other characters, and Latin words are words of their own.
"""

import re
from collections.abc import Iterable

from shared.nlu.reading import plain

__all__ = ["pattern_of"]

GAP = ".{0,12}?"


def pattern_of(phrases: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for all of the phrases, for texts as they are read, in small letters; none where there are none."""
    parts = [part_of(phrase.casefold()) for phrase in phrases]
    return re.compile("|".join(parts)) if parts else None


def part_of(phrase: str) -> str:
    """The pattern of one phrase, which begins with a character: so a search steps over whatever begins no phrase."""
    pieces = [r"\s+".join(map(re.escape, plain(piece).split())) for piece in phrase.split("…")]
    if phrase[:1].isascii() and phrase[:1].isalnum():
        pieces[0] = pieces[0][:1] + "(?<![a-z0-9].)" + pieces[0][1:]
    end = r"(?![a-z0-9])" if phrase[-1:].isascii() else ""
    return GAP.join(pieces) + end
