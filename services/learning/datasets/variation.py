"""Varies utterances while they are learned, so that the model looks at the words and not at their looks."""

import random
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.learning.datasets.perturbations import Perturbation, add_emoji, mistype, swap_homophones
from shared.nlu.training_data import Span, Utterance

__all__ = ["Variation"]

LONG_NUMBER = re.compile(r"\d{5,}")
ENDINGS = {"zh": ("。", "？", "！", "～", "…"), "en": (".", "?", "!", "...", "??")}
SLIPS: dict[str, tuple[tuple[Perturbation, float], ...]] = {
    "zh": ((swap_homophones, 0.25), (mistype, 0.1)),
    "en": ((mistype, 0.25),),
}
EMOJI_SHARE = 0.05
CLOSING = "".join(set("".join(sum(ENDINGS.values(), ())))) + "~"


@dataclass(frozen=True)
class Variation:
    """Changes that keep the meaning; each happens to a share of the utterances, drawn again in every epoch.

    With `only_values` the words around the entities stay as they are.
    """

    values: dict[tuple[str, str], tuple[str, ...]]
    only_values: bool = False

    @staticmethod
    def of(utterances: Iterable[Utterance], *, only_values: bool = False) -> "Variation":
        """A variation that exchanges entity values among the utterances of a language."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for utterance in utterances:
            for span in utterance.spans:
                found[utterance.language, span.label].add(utterance.text[span.start : span.end])
        return Variation({key: tuple(sorted(values)) for key, values in found.items()}, only_values)

    def vary(self, utterances: Sequence[Utterance], draw: random.Random) -> list[Utterance]:
        """One variant of each utterance, in order."""
        return [self._one(utterance, draw) for utterance in utterances]

    def _one(self, utterance: Utterance, draw: random.Random) -> Utterance:
        if utterance.spans and draw.random() < 0.5:
            utterance = self._other_values(utterance, draw)
        if self.only_values:
            return utterance
        text = LONG_NUMBER.sub(lambda found: _other_number(found.group(), draw), utterance.text)
        if utterance.language == "en":
            text = _other_case(text, draw)
        utterance = replace(utterance, text=text)
        for change, share in SLIPS[utterance.language]:
            if draw.random() < share:
                utterance = _outside(utterance, change, draw)
        if draw.random() < 0.3:
            utterance = _other_ending(utterance, draw)
        if draw.random() < EMOJI_SHARE:
            utterance = replace(utterance, text=add_emoji(utterance.text, draw))
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
    elif chance < 0.48:
        varied = text.upper()
    else:
        varied = text
    return varied if len(varied) == len(text) else text


def _outside(utterance: Utterance, change: Perturbation, draw: random.Random) -> Utterance:
    """Changes one stretch of the text that belongs to no entity; the longer it is, the likelier."""
    edges = [0, *(place for span in utterance.spans for place in (span.start, span.end)), len(utterance.text)]
    stretches = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
    if not stretches:
        return utterance
    [(start, end)] = draw.choices(stretches, [end - start for start, end in stretches])
    changed = change(utterance.text[start:end], draw)
    shift = len(changed) - (end - start)
    spans = tuple(Span(s.label, s.start + shift, s.end + shift) if s.start >= end else s for s in utterance.spans)
    text = utterance.text[:start] + changed + utterance.text[end:]
    return replace(utterance, text=text, spans=spans) if text.strip() else utterance


def _other_ending(utterance: Utterance, draw: random.Random) -> Utterance:
    """Without its closing punctuation, or with another."""
    bare = utterance.text.rstrip(CLOSING)
    if not bare or any(s.end > len(bare) for s in utterance.spans):
        return utterance
    ending = draw.choice(("", "", *ENDINGS[utterance.language]))
    return replace(utterance, text=bare + ending)
