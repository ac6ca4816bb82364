"""How a model came about: `training.json` of its folder."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from services.learning.progress import Epoch
from shared.nlu.manifest import ModelError
from shared.nlu.training_settings import TrainingSettings

__all__ = ["TrainingRecord"]

FILE = "training.json"


class TrainingRecord(BaseModel):
    """Recipe, settings, sizes, history and duration (seconds, of the last run) of a training."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    settings: TrainingSettings
    training_utterances: int
    validation_utterances: int
    history: tuple[Epoch, ...]
    seconds: float
    libraries: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the record of a model folder."""
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise ModelError(f"{folder / FILE} is missing or damaged") from error

    def write(self, folder: Path) -> None:
        """Writes the record into a model folder."""
        (folder / FILE).write_text(self.model_dump_json(indent=1), encoding="utf-8")
