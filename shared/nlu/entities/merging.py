"""The entities of a text: by patterns what has a form, by the model the rest; where both see one, the surer stays."""

import re
from collections.abc import Sequence

from shared.contracts.understanding import Entity
from shared.nlu.bio_tags import TaggedSpan
from shared.nlu.entities.patterns import Found
from shared.nlu.normalisation import normalise, tidy

__all__ = ["merge_entities"]

CERTAIN = frozenset({"email", "tax_id", "order_number", "phone"})
"""Kinds whose form leaves no doubt: what the model sees around one of them is cut back to the rest."""

EDGES = " \t\r\n\u3000,，.。;；:：、!！?？'\"“”‘’()（）[]【】<>《》"

ABBREVIATED = re.compile(r"(?:\b(?:co|corp|inc|ltd|pte|pty|bros|intl|mfg|plc|llc)|\.[A-Za-z])\.(?!\w)", re.IGNORECASE)
"""A company's form whose full stop belongs to its name, as it is printed on an invoice."""

WITHIN_NAMES = frozenset(" .,&-'·")
"""What stands within one name or address: "Bluepeak Co., Ltd."; a list has other signs (、) or words between."""


def merge_entities(text: str, found: Sequence[Found], tagged: Sequence[TaggedSpan]) -> tuple[Entity, ...]:
    """All entities in order and without overlap.

    A certain pattern always stays. A date or an amount stays when it is at least as long as what the model sees
    there: "100号" in a street address is no day of a month.
    """
    certain = [each for each in found if each.name in CERTAIN]
    spans = [span for each in _joined(text, tagged) for span in [_cut(text, each, certain)] if span is not None]
    kept = [
        each
        for each in found
        if each.name in CERTAIN
        or all(not _overlap(each, span) or span.end - span.start <= each.end - each.start for span in spans)
    ]
    entities = [
        Entity(
            name=each.name,
            value=each.value,
            text=text[each.start : each.end],
            start=each.start,
            end=each.end,
            confidence=1.0,
            source="pattern",
        )
        for each in kept
    ]
    entities += [
        Entity(
            name=span.name,
            value=tidy(text[span.start : span.end]),
            text=text[span.start : span.end],
            start=span.start,
            end=span.end,
            confidence=span.confidence,
            source="model",
        )
        for span in spans
        if not any(_overlap(each, span) for each in kept)
    ]
    return tuple(sorted(entities, key=lambda entity: entity.start))


def _joined(text: str, tagged: Sequence[TaggedSpan]) -> list[TaggedSpan]:
    """Neighbours of one kind are one entity where only what stands within names is between them.

    A model that is unsure in the middle of a name begins another one there.
    """
    joined: list[TaggedSpan] = []
    for span in sorted(tagged, key=lambda each: each.start):
        last = joined[-1] if joined else None
        between = "" if last is None else normalise(text[last.end : span.start]).text
        if last is not None and last.name == span.name and WITHIN_NAMES.issuperset(between):
            confidence = min(last.confidence, span.confidence)
            joined[-1] = TaggedSpan(span.name, last.start, max(last.end, span.end), confidence)
        else:
            joined.append(span)
    return joined


def _overlap(found: Found, span: TaggedSpan) -> bool:
    return found.start < span.end and span.start < found.end


def _cut(text: str, span: TaggedSpan, certain: Sequence[Found]) -> TaggedSpan | None:
    """The longest part of the span that no certain pattern covers, without foreign punctuation at its edges."""
    parts, start = [], span.start
    for each in certain:
        if _overlap(each, span):
            parts.append((start, each.start))
            start = each.end
    parts.append((start, span.end))
    start, end = max(parts, key=lambda part: part[1] - part[0])
    end = min(end, len(text))
    while start < end and text[start] in EDGES:
        start += 1
    while start < end and text[end - 1] in EDGES and not _abbreviated(text, start, end):
        end -= 1
    if start < end and _abbreviated(text, start, end + 1):
        end += 1
    return TaggedSpan(span.name, start, end, span.confidence) if start < end else None


def _abbreviated(text: str, start: int, end: int) -> bool:
    """Whether a full stop that belongs to a name ends there."""
    return text[end - 1 : end] == "." and any(found.end() == end for found in ABBREVIATED.finditer(text, start))
