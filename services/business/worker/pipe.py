"""Reports of the processes that perform actions to the worker's own process: JSON lines through a pipe.

A line is far shorter than a pipe takes at once, so lines of several writers do not mix. When the reading end is gone,
so is the worker, and the writer stops.
"""

import json
import os
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

__all__ = ["Beat", "Done", "Pipe", "Report", "read_line"]


class Beat(BaseModel):
    """The consumer's loop is alive: messages received so far, and those in hand now."""

    kind: Literal["beat"] = "beat"
    received: int
    active: int


class Done(BaseModel):
    """A reference was dealt with; `outcome` is a result's status, why nothing was done, `retry` or `malformed`.

    `dead` says that the action was given up.
    """

    kind: Literal["done"] = "done"
    name: str
    outcome: str
    seconds: float
    dead: bool = False


Report = Annotated[Beat | Done, Field(discriminator="kind")]

_report: TypeAdapter[Beat | Done] = TypeAdapter(Report)


class Pipe:
    """The writing end, by its file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, report: Beat | Done) -> bool:
        """Write one report; whether there is still a reader."""
        line = json.dumps(report.model_dump()) + "\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))
        except BlockingIOError:
            # A reader that is behind loses a figure, not an action.
            return True
        except OSError:
            return False
        return True


def read_line(line: bytes) -> Beat | Done | None:
    """The report in a line; `None` if there is none."""
    try:
        return _report.validate_json(line)
    except ValidationError:
        return None
