"""The figures as a table, as JSON and as a picture."""

import json
from pathlib import Path
from statistics import mean, stdev

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from bench.quality.tasks import TASKS, Task
from shared.nlu.training_settings import TrainingSettings

__all__ = ["Outcome", "draw", "read_outcomes", "show", "write_outcome"]

INK, REACHED, MISSED, PLAIN, PUBLISHED = "#1f2937", "#0f766e", "#c2410c", "#64748b", "#9ca3af"


class Outcome(BaseModel):
    """What a task gave: `figures` by name with one value a seed, in order; `seconds` of all trainings."""

    model_config = ConfigDict(frozen=True)

    task: str
    seeds: tuple[int, ...]
    figures: dict[str, tuple[float, ...]]
    settings: TrainingSettings
    training: int
    validation: int
    test: int
    seconds: float


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Writes `<task>.json`; it replaces what was measured there before."""
    task = _task(outcome)
    content = {
        **outcome.model_dump(mode="json"),
        "goals": dict(task.goals),
        "references": {name: {"value": each.value, "by": each.by} for name, each in task.references.items()},
        "remark": task.remark,
    }
    (folder / f"{outcome.task}.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def read_outcomes(folder: Path) -> list[Outcome]:
    """All that were written into the folder, in the order of the tasks."""
    paths = (folder / f"{task.name}.json" for task in TASKS)
    return [Outcome.model_validate_json(path.read_bytes()) for path in paths if path.exists()]


def show(outcomes: list[Outcome], console: Console) -> None:
    """Prints a row a figure: measured, goal, whether it is reached, published."""
    table = Table(title="Quality on the test parts, measured once")
    for column in ("task", "figure", "measured", "seeds", "goal", "reached", "reference"):
        table.add_column(column, justify="right" if column in ("measured", "seeds", "goal") else "left")
    for outcome in outcomes:
        task = _task(outcome)
        for place, (name, values) in enumerate(outcome.figures.items()):
            goal, reference = task.goals.get(name), task.references.get(name)
            table.add_row(
                task.title if place == 0 else "",
                name,
                _spread(values),
                str(len(values)),
                "" if goal is None else _number(goal),
                "" if goal is None else ("yes" if mean(values) >= goal else "no"),
                "" if reference is None else f"{_number(reference.value)} {reference.by}",
                end_section=place == len(outcome.figures) - 1,
            )
    console.print(table)
    for outcome in outcomes:
        if remark := _task(outcome).remark:
            console.print(f"{_task(outcome).title}: {remark}")


def draw(outcomes: list[Outcome], path: Path) -> None:
    """A bar for each figure that has a goal or a reference, with marks for both."""
    from matplotlib.figure import Figure

    rows: list[tuple[str, float, float | None, float | None]] = []
    for outcome in outcomes:
        task = _task(outcome)
        for name, values in outcome.figures.items():
            goal, reference = task.goals.get(name), task.references.get(name)
            if goal is None and reference is None:
                continue
            scale = 100 if mean(values) <= 1 else 1
            rows.append(
                (
                    f"{task.title}: {name}",
                    scale * mean(values),
                    None if goal is None else scale * goal,
                    None if reference is None else scale * reference.value,
                )
            )
    lowest = min(min(value for value in row[1:] if value is not None) for row in rows)
    start = 5 * ((lowest - 3) // 5)
    figure = Figure(figsize=(9, 1.4 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (_label, measured, aim, other) in enumerate(rows):
        colour = PLAIN if aim is None else REACHED if measured >= aim else MISSED
        axes.barh(place, measured, height=0.55, color=colour)
        axes.text(start + 0.2, place, f"{measured:.2f}", va="center", color="white", fontsize=9)
        for value, ink, style in ((aim, INK, "solid"), (other, PUBLISHED, "dotted")):
            if value is not None:
                axes.plot([value, value], [place - 0.42, place + 0.42], color=ink, linestyle=style, linewidth=2)
    axes.set_xlim(start, 100.5)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("percent (AUROC × 100) · solid: goal · dotted: reference · orange: missed · grey: no goal")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=144, facecolor="white")


def _task(outcome: Outcome) -> Task:
    return next(task for task in TASKS if task.name == outcome.task)


def _number(value: float) -> str:
    return f"{value:.4f}" if value <= 1 else f"{value:.2f}"


def _spread(values: tuple[float, ...]) -> str:
    shown = _number(mean(values))
    return (
        shown
        if len(values) < 2
        else f"{shown} ± {_number(stdev(values)) if stdev(values) > 1 else f'{stdev(values):.2g}'}"
    )
