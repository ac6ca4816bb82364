"""What a kind of model brings to the server: how requests are parsed, what shares a batch, and the answers.

The queue, rollouts, canaries, shadows, drift and the budget of memory are the same for every kind. A request becomes
*questions*, each of which is encoded, waits, is computed in a batch, and gets an answer. The queue itself looks at
none of them; only the model of the kind does.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from pydantic import TypeAdapter

from services.intent.settings import Settings
from shared.nlu.manifest import Manifest, ModelSource

__all__ = ["AnyModel", "Asked", "GoldenQuestions", "Kind", "ServedModel", "Verdict"]

Q = TypeVar("Q")
E = TypeVar("E", bound=Sized)
A = TypeVar("A")


class Verdict(NamedTuple):
    """What an answer comes down to: versions of a model are compared, proven and watched for drift by it."""

    label: str
    confidence: float


@dataclass(frozen=True)
class GoldenQuestions(Generic[Q]):
    """Questions that a version is asked before it serves, their labels, and the share it got right after training."""

    questions: Sequence[Q]
    labels: Sequence[str]
    accuracy: float


class ServedModel(ABC, Generic[Q, E, A]):
    """A loaded and warm version of a model; its methods may be called from several threads.

    Attributes:
        kind: the kind that loaded it.
        manifest: that of its folder.
        digest: the SHA-256 of the manifest.
        streams: how many batches are computed at the same time.
        backend: the library that computes, on which `device` and in which `precision`.
        golden: what it and its successors are asked before they serve; None where its folder has nothing.
    """

    kind: "Kind"
    manifest: Manifest
    digest: str
    golden: GoldenQuestions[Q] | None = None
    streams: int = 1
    backend: str = "python"
    device: str = "cpu"
    precision: str = "f32"

    def __init__(self) -> None:
        self.loaded_at = datetime.now(UTC)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What callers may want to know of the model, beside what every model has; JSON values."""
        return {}

    @abstractmethod
    def questions(self, data: Any, task: str) -> Sequence[Q]:
        """The questions of a request to `/predict`, in their order; `data` is what the kind's `data` has checked."""

    @abstractmethod
    def predictions(self, task: str, answers: Sequence[A]) -> Sequence[Any]:
        """The answers as `/predict` gives them; JSON values or Pydantic models."""

    @abstractmethod
    def verdict(self, answer: A) -> Verdict | None:
        """What an answer comes down to; None where it is nothing that can be compared."""

    def cache_key(self, question: Q) -> Hashable | None:
        """What the answer depends on, for questions that come again; None: it is not worth remembering."""
        return None

    @abstractmethod
    def encode(self, questions: Sequence[Q]) -> Sequence[E]:
        """The questions as the model reads them; the length of each is what it costs, in any unit."""

    def encodes_at_once(self, questions: Sequence[Q]) -> bool:
        """Whether encoding takes less time than to hand it to another thread."""
        return True

    def batching_key(self, question: Q) -> Hashable:
        """Only questions with the same key share a batch."""
        return None

    def width(self, longest: int) -> int:
        """The cost of each question of a batch when the longest has this length."""
        return longest

    @abstractmethod
    def answer_batch(self, questions: Sequence[Q], encoded: Sequence[E]) -> Sequence[A]:
        """The answers of one batch, in its order.

        Raises:
            OutOfMemory: a smaller batch may be computed.
        """

    def answers(self, questions: Sequence[Q]) -> Sequence[A]:
        """The answers to the questions of one request, however many they are, outside of a queue."""
        return [answer for each in questions for answer in self.answer_batch([each], self.encode([each]))]


AnyModel: TypeAlias = ServedModel[Any, Any, Any]


class Kind(Protocol):
    """A kind of model: what `/predict` takes and gives, and how a folder is loaded."""

    @property
    def name(self) -> str:
        """What manifests call it."""

    @property
    def tasks(self) -> Sequence[str]:
        """What may be asked of its models; the first one where a request names none."""

    @property
    def data(self) -> TypeAdapter[Any]:
        """The `data` of a request."""

    @property
    def prediction(self) -> TypeAdapter[Any]:
        """A prediction of an answer."""

    def load(self, source: ModelSource[Manifest], settings: Settings) -> AnyModel:
        """Loads and warms a verified folder; blocks for seconds.

        Raises:
            ModelRejected: it cannot be served.
        """


class Asked(Protocol):
    """A model behind its queue, or a request's lease of it."""

    @property
    def model(self) -> AnyModel:
        """The model."""

    async def submit(self, questions: Sequence[Any], *, deadline: float) -> list[Any]:
        """The answers to the questions, in their order, by the deadline of the event loop's clock."""
