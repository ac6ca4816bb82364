"""How fast a library computes a model, found out in a process of its own.

So what the library took in memory is given back whole, and one that crashes or hangs here takes nothing along.
"""

import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.nlu.engines.backends import open_engine
from shared.nlu.engines.runtime import Library, Precision, Runtime
from shared.nlu.manifest import ModelRejected, NetworkSource, read_source

__all__ = ["Question", "Trial", "TrialFailed", "hold"]

SECONDS = 4.0
"""A library that takes longer to load and to compute a few batches is not waited for."""


class TrialFailed(Exception):
    """A library cannot be used here; the message says why."""


class Question(BaseModel):
    """What is tried: a folder in a library, in one precision or in all that it has."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    library: Library
    precision: Precision
    streams: int | None
    padding_id: int
    probes: tuple[tuple[int, ...], ...]

    def open(self, source: NetworkSource) -> Runtime:
        """The folder, compiled."""
        return Runtime(
            open_engine(source, self.library, streams=self.streams),
            source.manifest,
            precision=self.precision,
            padding_id=self.padding_id,
            probes=self.probes,
        )


class Trial(BaseModel):
    """What was found: the precision to compute in, and texts a second as `Runtime.measure` counts them."""

    model_config = ConfigDict(frozen=True)

    precision: Precision
    texts_per_second: float


def hold(question: Question) -> Trial:
    """Tries it in another process.

    Raises:
        TrialFailed: it took too long, crashed, or the library cannot serve the folder.
    """
    try:
        run = subprocess.run(
            [sys.executable, "-m", "shared.nlu.engines.autotune"],
            input=question.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Trial.model_validate_json(run.stdout.strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired as error:
        raise TrialFailed(f"took longer than {SECONDS:g} s") from error
    except ValidationError as error:
        words = run.stderr.strip().rpartition("\n")[2]
        raise TrialFailed(words or f"ended with exit code {run.returncode}") from error
    except OSError as error:
        raise TrialFailed(str(error)) from error


def main() -> None:
    """Answers the question on standard input."""
    question = Question.model_validate_json(sys.stdin.read())
    try:
        runtime = question.open(read_source(question.folder))
    except ModelRejected as error:
        raise SystemExit(str(error)) from None
    speed = runtime.measure()
    sys.stdout.write(f"\n{Trial(precision=runtime.precision, texts_per_second=speed).model_dump_json()}\n")


if __name__ == "__main__":
    main()
