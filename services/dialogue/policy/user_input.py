"""A message as the policy sees it: an understanding or a click, weighed by the assistant's thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.validation import CONTROL
from services.dialogue.assistant.values import MAX_TEXT_KEPT, QuickReply
from services.dialogue.policy.cues import normal, normal_title, ordinal
from services.dialogue.policy.negation import meant, refused, restated
from shared.contracts.understanding import Entity, Understanding
from shared.nlu.normalisation import Normalised, tidy
from shared.nlu.reading import read
from shared.nlu.training_data import OUT_OF_SCOPE

__all__ = ["SURE", "UserInput", "typed_option", "user_input_of"]

SURE = 0.8
"""From this probability on, an intent interrupts a question, and a yes is a yes."""

CANDIDATE = 0.05
"""Below this, an intent is not worth asking about."""

MAX_CANDIDATES = 2
MAX_VALUES = 5


@dataclass(frozen=True)
class UserInput:
    """One message. `intent` is there only when it is trusted; `candidates` are what else it may have meant.

    `text` is what everything reads, in one form; `reading` knows how it was written.
    `chances` are the probabilities of the likeliest intents, trusted or not. What is out of scope is `vague` when
    nothing in scope is likely and `out_of_scope` not the likeliest either. `entities` are those that are meant,
    `refused` the values that the sentence says are not: 不是…001.
    """

    text: str
    reading: Normalised | None = None
    intent: str | None = None
    confidence: float = 0.0
    out_of_scope: bool = False
    vague: bool = False
    candidates: tuple[str, ...] = ()
    chances: Mapping[str, float] = field(default_factory=dict)
    entities: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mood: str = "neutral"
    option: QuickReply | None = None

    def as_written(self, part: str) -> str:
        """A part of the text in the customer's own signs."""
        return part if self.reading is None else self.reading.as_written(part)

    @cached_property
    def meant(self) -> str:
        """The sentence without what it says is not meant."""
        return meant(self.text)

    @cached_property
    def restated(self) -> str:
        """What a correction has in place of what was said before."""
        return restated(self.text)

    @cached_property
    def rejected(self) -> tuple[str, ...]:
        """The parts of the sentence that say what is not meant."""
        return tuple(self.text[start:end] for start, end in refused(self.text))

    @property
    def sure(self) -> bool:
        """Whether the intent is clear enough to interrupt."""
        return self.intent is not None and self.confidence >= SURE

    def surely_one_of(self, *intents: str) -> bool:
        """Whether one of these intents is meant, no matter which: their probabilities are added."""
        return sum(self.chances.get(intent, 0.0) for intent in set(intents)) >= SURE


def user_input_of(
    assistant: Assistant, understanding: Understanding, option: QuickReply | None, reading: Normalised | None = None
) -> UserInput:
    """The input of a message, as far as its understanding is trusted; `option` is a quick reply that it names.

    `reading` is its text as it is read, where that has been done already.
    """
    reading = reading or read(understanding.text)
    intent, threshold = understanding.intent, assistant.thresholds.out_of_scope
    outside = understanding.out_of_scope
    out_of_scope = intent.name == OUT_OF_SCOPE or (
        outside.detected if threshold is None else outside.score >= threshold
    )
    # The model may be another release's.
    understood = intent.name in CONTROL or assistant.answers(intent.name)
    trusted = understood and not out_of_scope and intent.confidence >= assistant.thresholds.clarify
    ranking = [score for score in understanding.ranking if score.confidence >= CANDIDATE]
    offered = [score.name for score in ranking if assistant.title_of(score.name) is not None]
    entities: dict[str, tuple[str, ...]] = {}
    denied: dict[str, tuple[str, ...]] = {}
    places = [reading.place(start, end) for start, end in refused(reading.text)]
    for entity in understanding.entities:
        inside = any(start <= entity.start and entity.end <= end for start, end in places)
        found = denied if inside else entities
        known = found.get(entity.name, ())
        value = after_refusal(understanding.text, entity, places).strip()
        if value and len(value) <= MAX_TEXT_KEPT and value not in known and len(known) < MAX_VALUES:
            found[entity.name] = (*known, value)
    return UserInput(
        text=reading.text.strip(),
        reading=reading,
        intent=intent.name if trusted else None,
        confidence=intent.confidence if trusted else 0.0,
        out_of_scope=out_of_scope,
        vague=out_of_scope and intent.name != OUT_OF_SCOPE,
        candidates=tuple(dict.fromkeys(offered))[:MAX_CANDIDATES],
        chances={score.name: score.confidence for score in understanding.ranking},
        entities=entities,
        refused=denied,
        mood=understanding.sentiment.label,
        option=option,
    )


def after_refusal(text: str, entity: Entity, places: Sequence[tuple[int, int]]) -> str:
    """The entity's value; where a model took 上海，是杭州 for one place, only what is meant."""
    for start, end in places:
        if start < entity.start < end < entity.end:
            return tidy(text[end : entity.end]).lstrip("，, 是而")
    return entity.value


def typed_option(text: str, options: Sequence[QuickReply], *, numbers: bool) -> QuickReply | None:
    """The quick reply whose title was typed out, or, with `numbers`, that was named by its place."""
    wanted = normal(text)
    for option in options:
        if wanted and any(normal_title(title) == wanted for title in option.titles.values()):
            return option
    place = ordinal(text, len(options)) if numbers else None
    return options[place] if place is not None else None
