"""What intent answers about one text."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import Contract, unknown_as

__all__ = [
    "MAX_TEXT",
    "MAX_TEXTS",
    "Entity",
    "IntentScore",
    "Key",
    "Language",
    "ModelRef",
    "OutOfScope",
    "Sentiment",
    "Text",
    "UnderstandBatchRequest",
    "UnderstandRequest",
    "Understanding",
    "UnderstandingList",
]

MAX_TEXT = 2000
MAX_TEXTS = 64

Language = Annotated[Literal["zh", "en", "mixed", "other"], unknown_as("other")]
Probability = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
Key = Annotated[str, StringConstraints(max_length=128)]
"""Whose question it is: questions with the same key are answered by the same version of a model.

Empty, it is the caller's.
"""
Model = Annotated[str, StringConstraints(max_length=128, pattern=r"^(([a-z0-9][a-z0-9_-]{0,62}\.)?[a-z0-9_-]+)?$")]
"""The model of the release that a conversation goes by, as releases name it; empty, it is the assistant's own."""
Version = Annotated[str, StringConstraints(max_length=128)]
"""That model's version; where it is gone, the one that is in production answers."""
TimeZone = Annotated[str, StringConstraints(max_length=64)]
AssistantName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]


class UnderstandRequest(Contract):
    """One text for one assistant's model, and the conversation that it is from; the answer is an `Understanding`.

    `timezone` is where "today" is, by its name in the IANA database; empty, it is where the service's is.
    """

    text: Text
    assistant: AssistantName = "shop"
    model: Model = ""
    version: Version = ""
    key: Key = ""
    timezone: TimeZone = ""


class UnderstandBatchRequest(Contract):
    """Several texts for one assistant's model; the answer is `UnderstandingList`."""

    texts: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_TEXTS)]
    assistant: AssistantName = "shop"
    model: Model = ""
    version: Version = ""
    key: Key = ""
    timezone: TimeZone = ""


class IntentScore(Contract):
    """An intent with its calibrated probability."""

    name: str
    confidence: Probability


class Entity(Contract):
    """A value found in the text; `text[start:end]` is what was written, `value` is its normal form.

    `source` is what found it: `pattern`, `model`, or what a later release adds.
    """

    name: str
    value: str
    text: str
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    confidence: Probability
    source: str


class Sentiment(Contract):
    """The mood of the text with its probability."""

    label: Annotated[Literal["negative", "neutral", "positive"], unknown_as("neutral")]
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
    """What a text means: one model pass gives intents, entities, sentiment and out-of-scope.

    `ranking` has the likeliest intents; `intents` those that the text expresses, the surest first: one, unless the
    model was trained for several.
    """

    text: str
    language: Language
    intent: IntentScore
    ranking: tuple[IntentScore, ...]
    intents: tuple[IntentScore, ...] = ()
    entities: tuple[Entity, ...] = ()
    sentiment: Sentiment
    out_of_scope: OutOfScope
    model: ModelRef


class UnderstandingList(Contract):
    """What several texts mean, in their order."""

    understandings: tuple[Understanding, ...]
