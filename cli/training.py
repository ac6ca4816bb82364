"""Training and evaluation on the command line: progress for a person, figures for a person or a script."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cli.console import err, out, write_json
from cli.errors import EnvironmentUnfit
from cli.home import Home
from cli.progress import shown_progress
from services.learning.evaluation.evaluator import Evaluation
from services.learning.evaluation.robustness import Robustness, check_robustness
from services.learning.release.comparison import Comparison
from services.learning.release.gate import TOLERATED
from services.learning.runs.cache import user_cache
from services.learning.runs.runs import TrainedModel
from services.learning.runs.runs import evaluate as evaluate_model
from services.learning.runs.runs import promote as promote_version
from services.learning.runs.runs import train as train_model

__all__ = ["ensure_model", "evaluate", "list_models", "production_model", "promote", "train", "withdraw"]

TRAIN_MEGABYTES = 2_000
FIGURES = {
    "sentences": "sentences",
    "intent_accuracy": "intent accuracy",
    "intent_macro_f1": "macro-F1",
    "out_of_scope_auroc": "out-of-scope AUROC",
    "out_of_scope_auroc_probability": "… by probability",
    "out_of_scope_auroc_energy": "… by energy",
    "out_of_scope_auroc_distance": "… by distance",
    "out_of_scope_auroc_combined": "… by energy and distance",
    "out_of_scope_recall": "out-of-scope recall",
    "out_of_scope_false_alarms": "false alarms",
    "calibration_error": "calibration error",
    "entity_f1": "entity F1",
    "sentiment_accuracy": "sentiment accuracy",
}
LISTED = ("intent_accuracy", "intent_macro_f1", "out_of_scope_auroc", "entity_f1")


def train(
    assistant: Path,
    home: Home,
    *,
    quick: bool = False,
    soon: bool = False,
    mlflow_uri: str = "",
    as_json: bool = False,
) -> None:
    """Trains an assistant's model, or finds that the one there is still right, and shows its figures."""
    made = ensure_model(assistant, home, quick=quick, soon=soon, mlflow_uri=mlflow_uri)
    if as_json:
        write_json(
            {
                "version": made.version,
                "path": str(made.path),
                "cached": made.cached,
                "preliminary": made.preliminary,
                "metrics": made.metrics,
                "held_back": made.held_back,
                "learned": made.learned,
                "comparison": made.comparison.model_dump() if made.comparison else None,
            }
        )
        return
    if made.metrics:
        out.print(figures_table(made.metrics))
    if made.comparison is not None:
        out.print(comparison_table(made.comparison))
        if unclear := made.comparison.unclear(FIGURES):
            lost = f"{100 * TOLERATED:g} points"
            out.print(f"There are too few held-out sentences to rule out a loss of {lost} in {unclear}", soft_wrap=True)
    for intent, f1 in made.learned.items():
        out.print(f"New intent {intent}: F1 {f1:.2f} on its held-out sentences", soft_wrap=True)
    report = made.path / "report" / "index.html"
    if report.exists():
        out.print(f"Report: {report}", soft_wrap=True)


def ensure_model(
    assistant: Path, home: Home, *, quick: bool = False, soon: bool = False, mlflow_uri: str = ""
) -> TrainedModel:
    """The assistant's model, trained if its utterances or settings are not those it was trained with.

    Args:
        soon: where it would have to be trained, one that can serve at once.

    Raises:
        EnvironmentUnfit: it has to be trained and there is not enough disk for it.
    """
    home.prepare()
    cache = user_cache(os.environ, lambda sentence: err.print(f"[yellow]{sentence}[/]", soft_wrap=True))
    try:
        with shown_progress(err, lambda: home.prepare(free_megabytes=TRAIN_MEGABYTES)) as report:
            made = train_model(assistant, home.root, report, quick=quick, soon=soon, mlflow_uri=mlflow_uri, cache=cache)
    except KeyboardInterrupt:
        err.print("Interrupted; the next training goes on from the last whole epoch.")
        raise
    if made.preliminary:
        err.print(f"[green]✓[/] A first model of {assistant.name} is there: {made.version}{_in_short(made.metrics)}")
    else:
        words = "is up to date" if made.cached else "was trained"
        err.print(f"[green]✓[/] The model of {assistant.name} {words}: {made.version}")
    if made.held_back:
        err.print(
            f"[yellow]It is not in production: {made.held_back}. "
            f"`zhiyin promote {assistant.name} {made.version} --force` puts it there.[/]",
            soft_wrap=True,
        )
    return made


def _in_short(metrics: Mapping[str, Mapping[str, float]]) -> str:
    found = metrics.get("all", {})
    parts = [f"{FIGURES[key]} {found[key]:.2f}" for key in ("intent_accuracy", "entity_f1") if key in found]
    return f" ({', '.join(parts)})" if parts else ""


def promote(assistant: Path, home: Home, version: str, *, alias: str, force: bool, mlflow_uri: str) -> None:
    """Points an alias at a version."""
    home.prepare()
    named = promote_version(assistant, home.root, version, alias=alias, force=force, mlflow_uri=mlflow_uri)
    err.print(f"[green]✓[/] {alias} of {assistant.name} is {named}")


def withdraw(assistant: Path, home: Home, alias: str, *, mlflow_uri: str) -> None:
    """Takes an alias away."""
    from services.learning.runs.tracking import Tracker
    from shared.nlu.training_data import load_manifest

    name = load_manifest(assistant).name
    Tracker(home.root, mlflow_uri).clear(name, alias)
    err.print(f"[green]✓[/] {name} has no {alias}")


def list_models(assistant: Path, home: Home, *, mlflow_uri: str, as_json: bool = False) -> None:
    """Shows the registered versions, newest first, with their aliases and main figures."""
    from services.learning.runs.tracking import Tracker
    from shared.nlu.training_data import load_manifest

    found = Tracker(home.root, mlflow_uri).versions(load_manifest(assistant).name)
    if as_json:
        write_json(
            [
                {
                    **asdict(each),
                    "created_at": each.created_at.isoformat(),
                    "comparison": each.comparison.model_dump() if each.comparison else None,
                }
                for each in found
            ]
        )
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("version", "aliases", *(FIGURES[key] for key in LISTED)):
        table.add_column(column, justify="left" if column in ("version", "aliases") else "right")
    table.add_column("against production, points", justify="right")
    # What `promote` needs is shown whole, however narrow the terminal is.
    table.columns[0].min_width = max((len(each.version) for each in found), default=0)
    table.columns[0].no_wrap = True
    for each in found:
        figures = (shown(each.figures.get(key)) for key in LISTED)
        table.add_row(each.version, ", ".join(each.aliases), *figures, _against(each.comparison))
    out.print(table)


def _against(comparison: Comparison | None) -> str:
    """How the first of the listed figures compares with what was in production then."""
    found = comparison.differences if comparison is not None else ()
    return next((each.points for each in found if each.figure == LISTED[0]), "–")


def evaluate(assistant: Path, home: Home, *, robustness: bool = False, as_json: bool = False) -> None:
    """Measures the model in production and shows the figures, what it got wrong, and how robust it is if asked for."""
    model = production_model(assistant, home)
    changed = check_robustness(assistant, model) if robustness else None
    found = evaluate_model(assistant, model)
    mistakes = found.mistakes if isinstance(found, Evaluation) else ()
    if as_json:
        drops = {} if changed is None else {"robustness": changed.model_dump()}
        write_json({"summary": found.summary(), "mistakes": [each.model_dump() for each in mistakes], **drops})
        return
    out.print(figures_table(found.summary()))
    if changed is not None:
        out.print(drops_table(changed))
    if not mistakes:
        return
    table = Table(title=f"{len(mistakes)} mistakes", title_justify="left", box=None, pad_edge=False)
    for column in ("sentence", "wanted", "found", "confidence"):
        table.add_column(column)
    for mistake in mistakes:
        table.add_row(Text(mistake.text), mistake.wanted, mistake.found, f"{mistake.confidence:.2f}")
    out.print(table)


def production_model(assistant: Path, home: Home) -> Path:
    """The folder of the model that is in production.

    Raises:
        EnvironmentUnfit: there is none.
    """
    from services.intent.versions.loading import production_folder
    from shared.nlu.manifest import ModelRejected
    from shared.nlu.training_data import load_manifest

    try:
        return production_folder(home.root, load_manifest(assistant).name)
    except ModelRejected as error:
        words = str(error)
        raise EnvironmentUnfit(f"{words[:1].upper()}{words[1:]}.") from error


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


def comparison_table(comparison: Comparison) -> Table:
    """By how many points a version is better than the one in production, with the bounds of chance, a column a part."""
    parts = list(dict.fromkeys(each.part for each in comparison.differences))
    cells = {(each.figure, each.part): each.points for each in comparison.differences}
    table = Table(title=f"Points above {comparison.against}", title_justify="left", box=None, pad_edge=False)
    for column in ("", *parts):
        table.add_column(column, justify="right" if column else "left")
    for figure in dict.fromkeys(each.figure for each in comparison.differences):
        table.add_row(FIGURES.get(figure, figure), *(cells.get((figure, part), "–") for part in parts))
    return table


def drops_table(robustness: Robustness) -> Table:
    """By how many points the intent accuracy falls when sentences are written in another way, a column a language."""
    languages = list(dict.fromkeys(language for drops in robustness.drops.values() for language in drops))
    table = Table(title="Points of intent accuracy lost", title_justify="left", box=None, pad_edge=False)
    for column in ("", "sentences", *languages):
        table.add_column(column, justify="right" if column else "left")
    for name, drops in robustness.drops.items():
        points = [f"{100 * drops[language].drop:.1f}" if language in drops else "–" for language in languages]
        table.add_row(name.replace("_", " "), str(drops["all"].count), *points)
    return table


def shown(value: float | None) -> str:
    """A figure as a person reads it: counts whole, shares with four digits."""
    if value is None:
        return "–"
    return str(int(value)) if float(value).is_integer() and value > 1 else f"{value:.4f}"
