"""Training and evaluation on the command line: progress for a person, figures for a person or a script."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cli.console import err, out, write_json
from cli.errors import EnvironmentUnfit
from cli.home import Home
from services.learning import progress as learning
from services.learning.runs import TrainedModel
from services.learning.runs import evaluate as evaluate_model
from services.learning.runs import train as train_model

__all__ = ["ensure_model", "evaluate", "production_model", "train"]

TRAIN_MEGABYTES = 2_000
STAGES = {
    "waiting": "Waiting for another training",
    "encoder": "Getting the encoder",
    "training": "Training",
    "export": "Exporting the model",
    "evaluation": "Evaluating on held-out sentences",
}
FIGURES = {
    "sentences": "sentences",
    "intent_accuracy": "intent accuracy",
    "intent_macro_f1": "macro-F1",
    "out_of_scope_auroc": "out-of-scope AUROC",
    "out_of_scope_recall": "out-of-scope recall",
    "out_of_scope_false_alarms": "false alarms",
    "calibration_error": "calibration error",
    "entity_f1": "entity F1",
    "sentiment_accuracy": "sentiment accuracy",
}


def train(assistant: Path, home: Home, *, as_json: bool = False) -> None:
    """Trains an assistant's model, or finds that the one there is still right, and shows its figures."""
    made = ensure_model(assistant, home)
    if as_json:
        write_json({"version": made.version, "path": str(made.path), "cached": made.cached, "metrics": made.metrics})
        return
    if made.metrics:
        out.print(figures_table(made.metrics))
    report = made.path / "report" / "index.html"
    if report.exists():
        out.print(f"Report: {report}", soft_wrap=True)


def ensure_model(assistant: Path, home: Home) -> TrainedModel:
    """The assistant's model, trained if its utterances or settings are not those it was trained with.

    Raises:
        EnvironmentUnfit: it has to be trained and there is not enough disk for it.
    """
    home.prepare()
    try:
        with progress_bars(lambda: home.prepare(free_megabytes=TRAIN_MEGABYTES)) as report:
            made = train_model(assistant, home.root, report)
    except KeyboardInterrupt:
        err.print("Interrupted; the next training goes on from the last whole epoch.")
        raise
    words = "is up to date" if made.cached else "was trained"
    err.print(f"[green]✓[/] The model of {assistant.name} {words}: {made.version}")
    return made


def evaluate(assistant: Path, home: Home, *, as_json: bool = False) -> None:
    """Measures the model in production and shows the figures and what it got wrong."""
    found = evaluate_model(assistant, production_model(assistant, home))
    if as_json:
        write_json({"summary": found.summary(), "mistakes": [each.model_dump() for each in found.mistakes]})
        return
    out.print(figures_table(found.summary()))
    if not found.mistakes:
        return
    table = Table(title=f"{len(found.mistakes)} mistakes", title_justify="left", box=None, pad_edge=False)
    for column in ("sentence", "wanted", "found", "confidence"):
        table.add_column(column)
    for mistake in found.mistakes:
        table.add_row(Text(mistake.text), mistake.wanted, mistake.found, f"{mistake.confidence:.2f}")
    out.print(table)


def production_model(assistant: Path, home: Home) -> Path:
    """The folder of the model that is in production.

    Raises:
        EnvironmentUnfit: there is none.
    """
    from services.intent.manifest import ModelRejected
    from services.intent.registry import production_folder
    from shared.assistants import load_manifest

    try:
        return production_folder(home.root, load_manifest(assistant).name)
    except ModelRejected as error:
        words = str(error)
        raise EnvironmentUnfit(f"{words[:1].upper()}{words[1:]}.") from error


@contextmanager
def progress_bars(before_work: Callable[[], None]) -> Iterator[learning.Report]:
    """A bar for each stage that takes place; `before_work` is called once, when there turns out to be work."""
    tasks: dict[str, TaskID] = {}
    told: set[str] = set()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}", style="dim"))
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err, disable=not err.is_terminal
    ) as bars:

        def report(progress: learning.Progress) -> None:
            if progress.stage == "cached":
                return
            if not tasks:
                before_work()
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(STAGES[progress.stage], total=progress.total, detail="")
            news = f"{STAGES[progress.stage]} {progress.detail}".strip()
            if not err.is_terminal and news not in told:
                # A log has no bars; it gets a line whenever something new has begun.
                told.add(news)
                err.print(news)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total, detail=progress.detail)

        yield report


def figures_table(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    """The main figures, a column a language."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for language in metrics:
        table.add_column(language, justify="right")
    for key, name in FIGURES.items():
        values = [metrics[language].get(key) for language in metrics]
        if any(value is not None for value in values):
            table.add_row(name, *(shown(value) for value in values))
    return table


def shown(value: float | None) -> str:
    """A figure as a person reads it: counts whole, shares with four digits."""
    if value is None:
        return "–"
    return str(int(value)) if float(value).is_integer() and value > 1 else f"{value:.4f}"
