"""`python -m bench.quality`: trains on public data with the project's own trainer, and measures test parts once."""

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait by spinning take cores that others need

from rich.console import Console

from bench.quality.data import Parts
from bench.quality.measures import Measured
from bench.quality.report import Outcome, draw, read_outcomes, show, write_outcome
from bench.quality.tasks import TASKS, Task, labels_of
from services.learning.progress import Progress
from services.learning.training.encoders import find_encoder
from services.learning.training.pipeline import fit_network

STATE = Path(os.environ.get("ZHIYIN_HOME", ".zhiyin"))
FIRST_SEED = 1


def main(words: Sequence[str] | None = None) -> int:
    """Runs the tasks that the command's `words` name; 2 when there is no data at all."""
    names = [task.name for task in TASKS]
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--tasks", default=",".join(names), help=f"of {', '.join(names)}, with commas")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each task; their mean is reported")
    parser.add_argument("--out", type=Path, default=Path("build/bench-quality"), help="folder for the results")
    arguments = parser.parse_args(words)
    wanted = arguments.tasks.split(",")
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"unknown tasks: {', '.join(unknown)}")
    console = Console()
    if not (data := os.environ.get("ZHIYIN_DATA")):
        console.print("ZHIYIN_DATA names no folder of data sets, so nothing was measured. Where they can be had:")
        for task in TASKS:
            console.print(f"  {task.folder}: {task.home}")
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    skipped = []
    for task in (task for task in TASKS if task.name in wanted):
        folder = Path(data) / task.folder
        if not folder.is_dir():
            skipped.append(f"{task.title} skipped: {folder} is missing; it can be had from {task.home}")
            continue
        write_outcome(arguments.out, _run(task, folder, arguments.seeds))
    if outcomes := read_outcomes(arguments.out):
        draw(outcomes, arguments.out / "quality.png")
        show(outcomes, console)
    for line in skipped:
        console.print(line)
    console.print(f"Figures and picture: {arguments.out}")
    return 0


def _run(task: Task, folder: Path, seeds: int) -> Outcome:
    parts = task.parts(folder)
    figures: dict[str, list[float]] = defaultdict(list)
    started = time.monotonic()
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    for seed in numbers:
        for name, value in _train(task, parts, seed).items():
            figures[name].append(value)
    return Outcome(
        task=task.name,
        seeds=tuple(numbers),
        figures={name: tuple(values) for name, values in figures.items()},
        settings=task.settings,
        training=len(parts.training),
        validation=len(parts.validation),
        test=len(parts.test),
        seconds=round(time.monotonic() - started, 1),
    )


def _train(task: Task, parts: Parts, seed: int) -> dict[str, float]:
    settings = task.settings.model_copy(update={"seed": seed})
    labels = labels_of(parts)
    with tempfile.TemporaryDirectory() as scratch:
        network = fit_network(
            find_encoder(settings.encoder, STATE),
            labels,
            parts.training,
            parts.validation,
            settings,
            checkpoint=Path(scratch) / "checkpoint.pt",
            folder=Path(scratch),
            progress=_Told(f"{task.title}, seed {seed}"),
        )
        for epoch in network.history:
            print(f"{task.title}, seed {seed}: {epoch.model_dump_json()}", file=sys.stderr, flush=True)  # noqa: T201
        return task.measure(Measured(network.exported, labels, parts, settings))


class _Told:
    """Says on the error stream which epoch of which training is running."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.last = ""

    def __call__(self, progress: Progress) -> None:
        if progress.detail != self.last and progress.detail:
            self.last = progress.detail
            print(f"{self.what}: {progress.detail}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
