"""Varies utterances while they are learned, so that the model looks at the words and not at their looks."""

import random
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from shared.assistants import Span, Utterance

__all__ = ["Variation"]

LONG_NUMBER = re.compile(r"\d{5,}")
ENDINGS = {"zh": ("。", "？", "！", "～", "…"), "en": (".", "?", "!", "...", "??")}
CLOSING = "".join(set("".join(sum(ENDINGS.values(), ())))) + "~"


@dataclass(frozen=True)
class Variation:
    """Changes that keep the meaning; each happens to a share of the utterances, anew in every epoch."""

    values: dict[tuple[str, str], tuple[str, ...]]

    @staticmethod
    def of(utterances: Iterable[Utterance]) -> "Variation":
        """A variation that exchanges entity values among the utterances of a language."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for utterance in utterances:
            for span in utterance.spans:
                found[utterance.language, span.label].add(utterance.text[span.start : span.end])
        return Variation({key: tuple(sorted(values)) for key, values in found.items()})

    def vary(self, utterances: Sequence[Utterance], draw: random.Random) -> list[Utterance]:
        """One variant of each utterance, in order."""
        return [self._one(utterance, draw) for utterance in utterances]

    def _one(self, utterance: Utterance, draw: random.Random) -> Utterance:
        if utterance.spans and draw.random() < 0.5:
            utterance = self._other_values(utterance, draw)
        text = LONG_NUMBER.sub(lambda found: _other_number(found.group(), draw), utterance.text)
        if utterance.language == "en":
            text = _other_case(text, draw)
        utterance = replace(utterance, text=text)
        if utterance.language == "en" and draw.random() < 0.15:
            utterance = _mistype(utterance, draw)
        if draw.random() < 0.3:
            utterance = _other_ending(utterance, draw)
        return utterance

    def _other_values(self, utterance: Utterance, draw: random.Random) -> Utterance:
        text, spans = utterance.text, list(utterance.spans)
        for at, span in enumerate(spans):
            value = draw.choice(self.values.get((utterance.language, span.label), (text[span.start : span.end],)))
            text = text[: span.start] + value + text[span.end :]
            shift = len(value) - (span.end - span.start)
            spans[at] = replace(span, end=span.end + shift)
            spans[at + 1 :] = [Span(s.label, s.start + shift, s.end + shift) for s in spans[at + 1 :]]
        return replace(utterance, text=text, spans=tuple(spans))


def _other_number(number: str, draw: random.Random) -> str:
    """The same length and beginning, other digits after: an order number stays one, a phone number too."""
    return number[:4] + "".join(draw.choice(string.digits) for _ in number[4:])


def _other_case(text: str, draw: random.Random) -> str:
    chance = draw.random()
    if chance < 0.3:
        varied = text.lower()
    elif chance < 0.4:
        varied = text[:1].upper() + text[1:]
    elif chance < 0.43:
        varied = text.upper()
    else:
        varied = text
    return varied if len(varied) == len(text) else text


def _mistype(utterance: Utterance, draw: random.Random) -> Utterance:
    """Swaps two neighbouring letters inside one word that is no part of an entity."""
    words = [
        found
        for found in re.finditer(r"[a-z]{5,}", utterance.text)
        if not any(found.start() < s.end and found.end() > s.start for s in utterance.spans)
    ]
    if not words:
        return utterance
    word = draw.choice(words)
    at = draw.randrange(word.start() + 1, word.end() - 2)
    text = utterance.text
    return replace(utterance, text=text[:at] + text[at + 1] + text[at] + text[at + 2 :])


def _other_ending(utterance: Utterance, draw: random.Random) -> Utterance:
    """Without its closing punctuation, or with another."""
    bare = utterance.text.rstrip(CLOSING)
    if not bare or any(s.end > len(bare) for s in utterance.spans):
        return utterance
    ending = draw.choice(("", "", *ENDINGS[utterance.language]))
    return replace(utterance, text=bare + ending)
