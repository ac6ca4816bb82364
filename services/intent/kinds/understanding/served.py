"""A model that understands texts, as the server knows models of every kind."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from services.intent.kinds.kind import Asked, GoldenQuestions, Kind, ServedModel, Verdict
from services.intent.kinds.understanding.predictions import (
    DATA,
    EMBEDDING,
    PREDICTION,
    TASKS,
    Prediction,
    TextObject,
    predictions,
    texts_of,
)
from services.intent.settings import Settings
from shared.contracts.understanding import Understanding
from shared.errors import ConfigurationError, InvalidInput
from shared.nlu.answers import Answer, Task
from shared.nlu.golden_set import GOLDEN, GoldenSet
from shared.nlu.manifest import UNDERSTANDING, Manifest, ModelManifest, ModelRejected, ModelSource
from shared.nlu.model import Model
from shared.nlu.tokenizer import SHORT_CHARACTERS, Encoded

__all__ = ["CACHED_CHARACTERS", "Question", "UnderstandingKind", "UnderstandingModel", "understand", "understanding_of"]

CACHED_CHARACTERS: Final = 200
"""Longer texts do not come twice; this also bounds what an answer in the cache takes, to a few kilobytes."""


class Question(NamedTuple):
    """A text, and all that its answer by one version depends on; the day because of "yesterday"."""

    text: str
    task: Task
    today: date


class UnderstandingModel(ServedModel[Question, Encoded, Answer]):
    """Texts in; language, intents, entities, sentiment and embedding out."""

    def __init__(self, kind: Kind, model: Model, today: Callable[[str], date]) -> None:
        """Args:
        today: the day that relative dates are seen from, in a time zone; "" is that of the service.

        Raises:
            ModelRejected: its golden set cannot be read.
        """
        super().__init__()
        self.kind = kind
        self.network = model
        self.manifest: ModelManifest = model.manifest
        self.digest = model.digest
        self.streams = model.streams
        self.backend = model.backend
        self.device = model.device
        self.precision = model.precision
        self._today = today
        self.golden = self._golden(model.source)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {
            "languages": self.manifest.languages,
            "intents": self.manifest.intents,
            "dimension": self.network.dimension,
        }

    def ask(self, texts: Sequence[str], task: Task = "understand", *, timezone: str = "") -> list[Question]:
        """Texts as questions of today.

        Raises:
            InvalidInput: there is no such time zone.
        """
        try:
            today = self._today(timezone)
        except ValueError as error:
            raise InvalidInput(str(error), field="timezone") from error
        return [Question(text, task, today) for text in texts]

    def questions(self, data: str | TextObject | list[str], task: str) -> list[Question]:
        return self.ask(texts_of(data), "embed" if task == EMBEDDING else "understand")

    def predictions(self, task: str, answers: Sequence[Answer]) -> list[Prediction]:
        return predictions(task, answers)

    def verdict(self, answer: Answer) -> Verdict | None:
        if answer.understanding is None:
            return None
        return Verdict(answer.understanding.intent.name, answer.understanding.intent.confidence)

    def cache_key(self, question: Question) -> Question | None:
        return question if len(question.text) <= CACHED_CHARACTERS else None

    def encode(self, questions: Sequence[Question]) -> list[Encoded]:
        return self.network.encode([each.text for each in questions])

    def encodes_at_once(self, questions: Sequence[Question]) -> bool:
        return sum(len(each.text) for each in questions) <= SHORT_CHARACTERS

    def batching_key(self, question: Question) -> date:
        return question.today

    def width(self, longest: int) -> int:
        return self.network.width(longest)

    def answer_batch(self, questions: Sequence[Question], encoded: Sequence[Encoded]) -> list[Answer]:
        return self.network.answer_batch(encoded, [each.task for each in questions], today=questions[0].today)

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        _, task, today = questions[0]
        return self.network.answers([each.text for each in questions], task=task, today=today)

    def _golden(self, source: ModelSource[ModelManifest]) -> GoldenQuestions[Question] | None:
        if GOLDEN not in source.manifest.files:
            return None
        try:
            golden = GoldenSet.read(source.file(GOLDEN))
        except ConfigurationError as error:
            raise ModelRejected(str(error)) from error
        questions = self.ask([each.text for each in golden.texts])
        return GoldenQuestions(questions, [each.intent for each in golden.texts], golden.accuracy)


class UnderstandingKind:
    """Models that understand texts."""

    name = UNDERSTANDING
    tasks = TASKS
    data: TypeAdapter[Any] = DATA
    prediction: TypeAdapter[Any] = PREDICTION

    def load(self, source: ModelSource[Manifest], settings: Settings) -> UnderstandingModel:
        """Loads and warms a verified folder; blocks for seconds.

        Raises:
            ModelRejected: it cannot be served.
        """
        model = Model(
            source.described_by(ModelManifest),
            streams=settings.inference_streams or None,
            precision=settings.inference_precision,
            backend=settings.inference_backend,
        )
        return UnderstandingModel(self, model, settings.today)


def understanding_of(model: object) -> UnderstandingModel:
    """The model, if it understands texts.

    Raises:
        InvalidInput: it is of another kind.
    """
    if not isinstance(model, UnderstandingModel):
        raise InvalidInput("this model does not understand texts; POST /predict asks models of every kind")
    return model


async def understand(
    served: Asked, texts: Sequence[str], *, deadline: float, timezone: str = ""
) -> list[Understanding]:
    """What each text means, in the order given; `deadline` and errors as of the queue.

    Raises:
        InvalidInput: the model is of another kind, or there is no such time zone.
    """
    answers = await served.submit(understanding_of(served.model).ask(texts, timezone=timezone), deadline=deadline)
    return [each.understanding for each in answers if each.understanding is not None]
