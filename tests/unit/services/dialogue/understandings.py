"""Understandings without a model: written down in a test, or read from a table of sentences."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from shared.contracts.understanding import Entity, IntentScore, ModelRef, OutOfScope, Sentiment, Understanding
from shared.nlu.training_data import parse_annotated

__all__ = ["UNCLEAR", "ranked", "read_table", "understanding"]

UNCLEAR = "unclear"

PATTERNS = {
    "order_number": r"(?<!\d)20\d{9}(?!\d)",
    "phone": r"(?<!\d)1[3-9]\d{9}(?!\d)",
    "email": r"[\w.]+@[\w.]+\.\w+",
    "tax_id": r"(?<![0-9A-Z])[0-9A-Z]{18}(?![0-9A-Z])",
}


def understanding(
    annotated: str,
    intent: str,
    *others: str,
    confidence: float = 0.95,
    mood: str = "neutral",
) -> Understanding:
    """A sentence with its intent; `others` share what is left of the probability."""
    text, spans = parse_annotated(annotated, ("address", "company", "word"))
    entities = [entity(text, span.label, span.start, span.end, "model") for span in spans]
    for name, pattern in PATTERNS.items():
        entities += [entity(text, name, *match.span(), "pattern") for match in re.finditer(pattern, text)]
    rest = [IntentScore(name=name, confidence=(1 - confidence) / len(others)) for name in others]
    return Understanding(
        text=text,
        language="zh" if re.search("[\u4e00-\u9fff]", text) else "en",
        intent=IntentScore(name=intent, confidence=confidence),
        ranking=(IntentScore(name=intent, confidence=confidence), *rest),
        entities=tuple(sorted(entities, key=lambda found: found.start)),
        sentiment=Sentiment(label=mood, confidence=0.9),
        out_of_scope=OutOfScope(detected=intent == "out_of_scope", score=float(intent == "out_of_scope")),
        model=ModelRef(name="table", version="1"),
    )


def ranked(text: str, chances: Mapping[str, float]) -> Understanding:
    """A sentence with the probability of each intent that it may have, the likeliest first."""
    ranking = tuple(IntentScore(name=name, confidence=chance) for name, chance in chances.items())
    return understanding(text, ranking[0].name).model_copy(update={"intent": ranking[0], "ranking": ranking})


def entity(text: str, name: str, start: int, end: int, source: str) -> Entity:
    """An entity whose normal form is what was written."""
    written = text[start:end]
    return Entity(name=name, value=written, text=written, start=start, end=end, confidence=1.0, source=source)


def read_table(path: Path) -> Mapping[str, Understanding]:
    """The sentences of a table with what they mean; those under `unclear` mean nothing for certain."""
    table: Mapping[str, Iterable[str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[str, Understanding] = {}
    for intent, sentences in table.items():
        for sentence in sentences:
            if intent == UNCLEAR:
                meaning = understanding(sentence, "small_talk", "refund", "track_order", confidence=0.2)
            else:
                meaning = understanding(sentence, intent)
            assert found.setdefault(meaning.text, meaning) is meaning, f"{sentence} stands twice"
    return found
