"""What intent tells dialogue about one text."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import Contract

__all__ = [
    "MAX_TEXT",
    "Entity",
    "IntentScore",
    "Language",
    "ModelRef",
    "OutOfScope",
    "Sentiment",
    "UnderstandRequest",
    "Understanding",
]

MAX_TEXT = 2000

Language = Literal["zh", "en", "mixed", "other"]
Probability = Annotated[float, Field(ge=0, le=1)]


class UnderstandRequest(Contract):
    """One text for one assistant's model."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
    assistant: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")] = "shop"


class IntentScore(Contract):
    """An intent with its calibrated probability."""

    name: str
    confidence: Probability


class Entity(Contract):
    """A value found in the text; `text[start:end]` is what was written, `value` is its normal form."""

    name: str
    value: str
    text: str
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    confidence: Probability
    source: Literal["pattern", "model"]


class Sentiment(Contract):
    """The mood of the text with its probability."""

    label: Literal["negative", "neutral", "positive"]
    confidence: Probability


class OutOfScope(Contract):
    """Whether the text asks for something that the assistant was not made for; the higher the score, the surer."""

    detected: bool
    score: Probability


class ModelRef(Contract):
    """The model version that said so."""

    name: str
    version: str


class Understanding(Contract):
    """What a text means: one model pass gives intents, entities, sentiment and out-of-scope."""

    text: str
    language: Language
    intent: IntentScore
    ranking: tuple[IntentScore, ...]
    entities: tuple[Entity, ...] = ()
    sentiment: Sentiment
    out_of_scope: OutOfScope
    model: ModelRef
