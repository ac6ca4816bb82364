"""How the processes that perform actions tell the worker's own process how they are: JSON lines through a pipe.

A line is far shorter than a pipe takes at once, so lines of several writers do not mix. When the reading end is gone,
so is the worker, and whoever notices stops.
"""

import json
import os
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

__all__ = ["Beat", "Done", "Pipe", "Told", "read_line"]


class Beat(BaseModel):
    """The consumer's loop turns: messages received so far, and those in hand now."""

    kind: Literal["beat"] = "beat"
    received: int
    active: int


class Done(BaseModel):
    """A message was dealt with; `outcome` is a result's status, `busy`, `retry` or `malformed`."""

    kind: Literal["done"] = "done"
    name: str
    outcome: str
    seconds: float


Told = Annotated[Beat | Done, Field(discriminator="kind")]

_told: TypeAdapter[Beat | Done] = TypeAdapter(Told)


class Pipe:
    """The writing end, by its file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, what: Beat | Done) -> bool:
        """Whether somebody can still hear it."""
        line = json.dumps(what.model_dump()) + "\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))
        except BlockingIOError:
            # A reader that is behind loses a figure, not an action.
            return True
        except OSError:
            return False
        return True


def read_line(line: bytes) -> Beat | Done | None:
    """What a line says; nothing if it says nothing that is understood."""
    try:
        return _told.validate_json(line)
    except ValidationError:
        return None
