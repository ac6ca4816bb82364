"""Two versions asked the same: what a canary or a shadow says against what production says."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.intent.kinds.kind import Verdict
from services.intent.versions import version_metrics
from services.intent.versions.live import LiveModel
from services.intent.versions.version_metrics import Role
from shared.errors import Problem

__all__ = ["Mirror"]

log = structlog.get_logger(__name__)

WAITING_CALLS = 64
LOOK_SECONDS = 0.005
BUSY_LOOKS = 200
"""So often it is looked whether production is idle; then the call is made, or a busy server would compare none."""
DEADLINE_SECONDS = 10.0


@dataclass(frozen=True)
class _Call:
    name: str
    role: Role
    questions: Sequence[Any]
    verdicts: Sequence[Verdict]
    judged: LiveModel
    other: LiveModel


class Mirror:
    """Asks another version what was just answered: one call at a time, after the answer, when production is idle."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        """Args:
        busy: whether somebody waits for a model.
        """
        self._busy = busy
        self._calls: deque[_Call] = deque()
        self._news = asyncio.Event()

    def ask(
        self,
        name: str,
        role: Role,
        questions: Sequence[Any],
        verdicts: Sequence[Verdict],
        *,
        judged: LiveModel,
        other: LiveModel,
    ) -> None:
        """Asks `other` the same soon; `judged` is the version that is compared with production, and one of both.

        `verdicts` are those of the answers that were given. When too many wait already, this one is dropped.
        """
        if len(self._calls) >= WAITING_CALLS:
            version_metrics.dropped(name)
            return
        self._calls.append(_Call(name, role, questions, verdicts, judged, other))
        self._news.set()

    async def run(self) -> None:
        """Makes the calls until it is cancelled."""
        while True:
            await self._news.wait()
            while self._calls:
                await self._idle()
                await self._make(self._calls.popleft())
            self._news.clear()

    async def _idle(self) -> None:
        for _ in range(BUSY_LOOKS):
            if not self._busy():
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _make(self, call: _Call) -> None:
        if call.other.retired:
            return
        started = time.perf_counter()
        try:
            with call.other as live:
                deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
                answers = await live.queue.submit(call.questions, deadline=deadline)
                found = [each for each in map(live.model.verdict, answers) if each is not None]
        except Problem:
            version_metrics.dropped(call.name)
            return
        except Exception:
            # It is counted against the version; nobody waits for this answer.
            call.other.errors += 1
            log.exception("comparison_failed", model=call.name, version=call.other.version)
            return
        seconds = time.perf_counter() - started
        if call.judged is call.other:
            version_metrics.answered(call.name, call.other.version, call.role, seconds)
            call.other.answer(found, seconds)
        pairs = zip(found, call.verdicts, strict=True)
        labels = (call.name, call.judged.version, call.role)
        for mirrored, given in pairs:
            candidate, known = (mirrored, given) if call.judged is call.other else (given, mirrored)
            agree = candidate.label == known.label
            gained = candidate.confidence - known.confidence
            call.judged.compare(agree=agree, gained=gained)
            version_metrics.compared(*labels, agree=agree, gained=gained)
