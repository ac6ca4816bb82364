"""A version that is loaded: who is using it, how it does, and its end."""

import asyncio
import ctypes
import resource
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Self

import structlog

from services.intent.batching.queue import BatchQueue
from services.intent.kinds.kind import AnyModel, Verdict
from services.intent.versions.drift import Drift
from shared.http.gc_tuning import keep_what_there_is
from shared.nlu.golden_set import REFERENCE, Reference
from shared.nlu.manifest import Manifest, ModelSource

__all__ = ["LiveModel", "read_reference", "resident_bytes"]

log = structlog.get_logger(__name__)

REMEMBERED_CALLS = 200
PAGE = resource.getpagesize()


class LiveModel:
    """A loaded version behind its queue; it is closed once nobody uses it any more. To be used from one event loop."""

    def __init__(
        self,
        queue: BatchQueue[Any, Any],
        *,
        size: int = 0,
        reference: Reference | None = None,
    ) -> None:
        """Args:
        size: the bytes that loading it took.
        reference: what its answers were like after training, to measure drift against.
        """
        manifest = queue.model.manifest
        self.queue = queue
        self.name = manifest.name
        self.version = manifest.version
        self.digest = queue.model.digest
        self.size = size
        self.retired = False
        self.errors = 0
        self.answered = 0
        self.compared = 0
        self.agreed = 0
        self.confidence_gained = 0.0
        self.seconds: deque[float] = deque(maxlen=REMEMBERED_CALLS)
        self.drift = Drift(manifest.name, manifest.version, reference) if reference is not None else None
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @property
    def model(self) -> AnyModel:
        """The model behind the queue."""
        return self.queue.model

    @property
    def used(self) -> bool:
        """Whether somebody is using it."""
        return self._users > 0

    @property
    def typical_seconds(self) -> float | None:
        """The median time of the last calls; none where there were no calls yet."""
        return median(self.seconds) if self.seconds else None

    def __enter__(self) -> Self:
        """As long as somebody is inside, the model is not closed."""
        self._users += 1
        self._unused.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()

    def answer(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Counts answers that were given and the seconds that the caller waited."""
        self.answered += 1
        self.seconds.append(seconds)
        if self.drift is not None:
            self.drift.add(verdicts)

    def compare(self, *, agree: bool, gained: float) -> None:
        """Counts a question that production was asked as well; `gained` is what its confidence is more."""
        self.compared += 1
        self.agreed += agree
        self.confidence_gained += gained

    async def retire(self) -> None:
        """Waits until nobody uses it, closes it and gives its memory back."""
        self.retired = True
        await self._unused.wait()
        await asyncio.to_thread(self.queue.close)
        log.info("model_unloaded", model=self.name, version=self.version)
        del self.queue
        await asyncio.to_thread(_give_back)


def read_reference(source: ModelSource[Manifest]) -> Reference | None:
    """What the model's answers were like after training, where its folder says."""
    return Reference.read(source.file(REFERENCE)) if REFERENCE in source.manifest.files else None


def resident_bytes() -> int:
    """The memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * PAGE


def _give_back() -> None:
    """Returns freed memory to the system: the allocator would keep what the old model had."""
    keep_what_there_is()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        # Only glibc has it, and only glibc needs it.
        return
