"""What a model folder carries for its server to check: a golden set, and a summary of the answers after training."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.errors import ConfigurationError

__all__ = ["CONFIDENCE_BINS", "GOLDEN", "REFERENCE", "GoldenSet", "GoldenText", "Reference", "confidence_bin"]

GOLDEN, REFERENCE = "golden.json", "reference.json"
CONFIDENCE_BINS = 10
MAX_GOLDEN_TEXTS = 1000

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Count = Annotated[int, Field(ge=0)]


class _File(BaseModel):
    """A frozen JSON file of a model folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file.

        Raises:
            ConfigurationError: it cannot be read or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigurationError(f"{path} is missing or damaged") from error

    def write(self, path: Path) -> None:
        """Writes the file."""
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")


class GoldenText(_File):
    """A text and the intent that a person says it has."""

    text: Text
    intent: Label


class GoldenSet(_File):
    """Texts that a model is asked before it serves, and the share of them that it got right after training."""

    texts: Annotated[tuple[GoldenText, ...], Field(min_length=1, max_length=MAX_GOLDEN_TEXTS)]
    accuracy: Annotated[float, Field(ge=0, le=1)]


class Reference(_File):
    """How often each tenth of calibrated confidence, and each intent, was answered after training."""

    confidence: Annotated[tuple[Count, ...], Field(min_length=CONFIDENCE_BINS, max_length=CONFIDENCE_BINS)]
    intents: dict[Label, Count]

    @classmethod
    def of(cls, intents: Iterable[str], answers: Iterable[tuple[str, float]]) -> Self:
        """Counts answers, each an intent and its confidence; `intents` are all that there are."""
        confidence = [0] * CONFIDENCE_BINS
        counts = dict.fromkeys(intents, 0)
        for intent, share in answers:
            confidence[confidence_bin(share)] += 1
            counts[intent] += 1
        return cls(confidence=tuple(confidence), intents=counts)


def confidence_bin(confidence: float) -> int:
    """The tenth that a confidence lies in."""
    return min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)
