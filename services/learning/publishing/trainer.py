"""Who trains for the pipeline: on one machine a child process a training, niced, that ends with its parent."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict

from services.learning.settings import Settings

__all__ = ["ProcessTrainer", "Trained", "Trainer", "Training", "TrainingFailed", "TrainingRefused"]

log = structlog.get_logger(__name__)

PR_SET_PDEATHSIG = 1
LINE_BYTES = 1_000_000
TAIL_BYTES = 2_000
NICENESS = {True: 5, False: 19}
"""Customers come first; a model that somebody waits for comes before one that replaces it some day."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained: the data in `folder`, for the model `name`.

    `soon` asks for a model that can serve within a minute; `forced` takes one that is worse than what is in production;
    `known` are versions that are registered and were found good enough before.
    """

    folder: Path
    name: str
    soon: bool
    forced: bool = False
    known: Sequence[str] = ()


class Trained(BaseModel):
    """The version that there is now; a `preliminary` one serves until the whole training has been done."""

    model_config = ConfigDict(frozen=True)

    version: str
    preliminary: bool = False


class TrainingRefused(Exception):
    """The data cannot be used, or the model is worse than what is in production; says why."""


class TrainingFailed(Exception):
    """It ended without a result; says how."""


Say = Callable[[str], Awaitable[None]]


class Trainer(Protocol):
    """Where trainings are run. Each may be repeated: what is there already is not trained again."""

    async def train(self, training: Training, say: Say) -> Trained:
        """The model of these data; `say` gets how far it is. Cancelled, it leaves nothing running.

        Raises:
            TrainingRefused: no repetition would help.
            TrainingFailed: it broke.
        """

    async def point(self, name: str, version: str) -> None:
        """Tells the registry of models which version is in production.

        Raises:
            TrainingRefused: it knows no such version.
            TrainingFailed: it does not answer.
        """


class ProcessTrainer:
    """Trains in child processes: at most one that somebody waits for and one whole training at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = {soon: asyncio.Semaphore(1) for soon in (True, False)}

    async def train(self, training: Training, say: Say) -> Trained:
        """As `Trainer.train`."""
        options = [f"--known={version}" for version in training.known]
        options += [f"--{name}" for name in ("soon", "forced") if getattr(training, name)]
        async with self._places[training.soon]:
            seconds = self._settings.training_seconds
            try:
                async with asyncio.timeout(seconds):
                    result = await self._run(
                        ["train", str(training.folder), *options],
                        training.name,
                        NICENESS[training.soon],
                        say,
                    )
            except TimeoutError:
                raise TrainingFailed(f"the training took longer than {seconds:.0f} s") from None
        return Trained.model_validate(result)

    async def point(self, name: str, version: str) -> None:
        """As `Trainer.point`."""
        await self._run(["point", version], name, 0, None)

    async def _run(self, command: list[str], name: str, niceness: int, say: Say | None) -> dict[str, Any]:
        shared = ["--name", name, "--home", str(self._settings.home.absolute())]
        shared += ["--mlflow-uri", self._settings.mlflow_uri] if self._settings.mlflow_uri else []
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.learning.runs", *command, *shared),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            start_new_session=True,
            preexec_fn=_before(niceness),
        )
        assert child.stdout is not None
        assert child.stderr is not None
        tail = asyncio.create_task(_tail(child.stderr))
        outcome: dict[str, Any] = {}
        try:
            async for line in child.stdout:
                found = _document(line)
                outcome |= found
                if say is not None and "progress" in found:
                    await say(str(found["progress"]))
            code = await child.wait()
            last = await tail
        finally:
            with suppress(ProcessLookupError):
                # What it has started itself ends with it, such as the workers of a data loader.
                os.killpg(child.pid, signal.SIGKILL)
            tail.cancel()
            await child.wait()
        if "refused" in outcome:
            raise TrainingRefused(str(outcome["refused"]))
        if "result" not in outcome:
            log.error("training_failed", model=name, code=code, tail=last)
            raise TrainingFailed(f"the training ended with exit code {code}: {last.splitlines()[-1] if last else ''}")
        return dict(outcome["result"])


async def _tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while part := await stream.read(TAIL_BYTES):
        kept = (kept + part)[-TAIL_BYTES:]
    return kept.decode("utf-8", "replace").strip()


def _document(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where a library has written it."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _before(niceness: int) -> Callable[[], None]:
    """What a child does before its program starts; on Linux it ends with its parent, however that ends."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def arrange() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        os.nice(niceness)

    return arrange
