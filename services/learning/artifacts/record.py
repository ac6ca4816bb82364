"""How a model came about: `training.json` of its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.nlu.manifest import ModelError

__all__ = ["TrainingRecord"]

FILE = "training.json"

S = TypeVar("S", bound=BaseModel)


class TrainingRecord(BaseModel):
    """Recipe, settings, history and duration (seconds, of the last run) of a training of any kind of model.

    `history` has the figures of each epoch, whose `number` counts from 1. What the kind adds is kept as it is.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    recipe: str
    settings: Mapping[str, Any]
    history: tuple[Mapping[str, int | float | None], ...]
    seconds: float
    libraries: dict[str, str]

    @property
    def sizes(self) -> dict[str, int]:
        """What the kind counted of its data, such as `training_utterances`."""
        return {name: value for name, value in (self.model_extra or {}).items() if isinstance(value, int)}

    def settings_as(self, kind: type[S]) -> S:
        """The settings as the kind reads them.

        Raises:
            ModelError: they are not of that kind.
        """
        try:
            # The release that trained it may have had more settings.
            return kind.model_validate(self.settings, extra="ignore")
        except ValidationError as error:
            raise ModelError(f"the settings in {FILE} cannot be read as {kind.__name__}") from error

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the record of a model folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise ModelError(f"{folder / FILE} is missing or damaged") from error

    def write(self, folder: Path) -> None:
        """Writes the record into a model folder."""
        (folder / FILE).write_text(self.model_dump_json(indent=1), encoding="utf-8")
