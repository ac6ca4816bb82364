"""How far a training is: bars in a terminal, and in a log a line with a time now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from services.learning import progress as learning

__all__ = ["STAGES", "LogLines", "shown_progress"]

STAGES: dict[learning.Stage, str] = {
    "waiting": "Waiting for another training",
    "encoder": "Getting the encoder",
    "heads": "Fitting a first model",
    "training": "Training",
    "export": "Exporting the model",
    "evaluation": "Evaluating on held-out sentences",
    "quantisation": "Quantising",
}
LINE_SECONDS = 10.0
"""A log gets a line after so long, and whenever a stage begins."""
FIRST_ESTIMATE = 0.02
"""The share of a stage that must be done before the rest can be estimated."""


class LogLines:
    """Progress as lines such as `[01:20] Training: epoch 3 of 10, 31 %, about 2:40 left`."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._started = clock()
        self._stage: learning.Stage | None = None
        self._stage_started = self._written = self._started
        self._first_done = 0

    def report(self, progress: learning.Progress) -> None:
        """Writes a line if one is due."""
        now = self._clock()
        begins = progress.stage != self._stage
        if begins:
            self._stage, self._stage_started, self._first_done = progress.stage, now, progress.done
        elif now - self._written < LINE_SECONDS:
            return
        self._written = now
        parts = [progress.detail] if progress.detail else []
        if progress.done and progress.total > 1:
            parts.append(f"{100 * progress.done // progress.total} %")
            parts += self._left(progress, now)
        words = f"{STAGES[progress.stage]}: {', '.join(parts)}" if parts else STAGES[progress.stage]
        self._write(f"[{_minutes(now - self._started, width=2)}] {words}")

    def _left(self, progress: learning.Progress, now: float) -> list[str]:
        # A training that goes on from a checkpoint begins far from 0.
        done = progress.done - self._first_done
        if done < FIRST_ESTIMATE * progress.total or progress.done >= progress.total:
            return []
        seconds = (now - self._stage_started) * (progress.total - progress.done) / done
        return [f"about {_minutes(seconds)} left"]


@contextmanager
def shown_progress(console: Console, before_work: Callable[[], None]) -> Iterator[learning.Report]:
    """What a training reports to; `before_work` is called once, when there turns out to be work."""
    tasks: dict[learning.Stage, TaskID] = {}
    lines = LogLines(lambda line: console.print(line, markup=False, soft_wrap=True))
    working = False
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeElapsedColumn(),
        TimeLeftColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def report(progress: learning.Progress) -> None:
            nonlocal working
            if progress.stage == "cached":
                return
            if not working:
                working = True
                before_work()
            if not console.is_terminal:
                lines.report(progress)
                return
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(STAGES[progress.stage], total=progress.total, detail="")
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total, detail=progress.detail)

        yield report


def _minutes(seconds: float, *, width: int = 1) -> str:
    whole = round(seconds)
    return f"{whole // 60:0{width}}:{whole % 60:02}"
