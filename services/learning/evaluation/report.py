"""Writes what was measured for people to look at: an HTML page that needs nothing beside it."""

import base64
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.evaluator import ALL, Evaluation, LanguageScores
from services.learning.evaluation.robustness import GOAL, read_robustness
from shared.nlu.manifest import ModelManifest
from shared.nlu.training_settings import TrainingSettings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["write_report"]

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = {ALL: "All", "zh": "Chinese", "en": "English"}
INK, ACCENT, WARM, SOFT = "#1f2937", "#0f766e", "#c2410c", "#e5e7eb"


def write_report(folder: Path, manifest: ModelManifest, record: TrainingRecord, evaluation: Evaluation) -> None:
    """Writes `report/index.html`."""
    plots = {
        "training": _training(record),
        "confusion": _confusion(evaluation),
        "intents": _intents(evaluation),
        "rejection": _rejection(evaluation),
        "reliability": _reliability(evaluation),
    }
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    page = environment.get_template("report.html").render(
        manifest=manifest,
        record=record,
        evaluation=evaluation,
        robustness=read_robustness(folder),
        goal=GOAL,
        languages={name: LANGUAGES.get(name, name) for name in evaluation.parts},
        settings=record.settings_as(TrainingSettings).model_dump(mode="json"),
        plots=plots,
    )
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "index.html").write_text(page, encoding="utf-8")


def _png(figure: "Figure") -> str:
    """The figure as a data address for an <img>."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=144, bbox_inches="tight", facecolor="white")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _figure(width: float, height: float, columns: int = 1) -> tuple["Figure", list["Axes"]]:
    """An empty figure with its axes; no window system and no global state is involved."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(colors=INK, labelsize=8)
    return figure, axes


def _training(record: TrainingRecord) -> str:
    figure, (losses, accuracies) = _figure(9, 3, columns=2)
    numbers, loss, validation_loss, accuracy = (
        np.array([epoch[name] for epoch in record.history], float)
        for name in ("number", "loss", "validation_loss", "validation_accuracy")
    )
    losses.plot(numbers, loss, color=ACCENT, marker="o", ms=3, label="training")
    losses.plot(numbers, validation_loss, color=WARM, marker="o", ms=3, label="validation (intents)")
    losses.set(xlabel="epoch", title="Loss")
    losses.legend(frameon=False, fontsize=8)
    accuracies.plot(numbers, accuracy, color=WARM, marker="o", ms=3)
    accuracies.set(xlabel="epoch", title="Intent accuracy in validation")
    for axes in (losses, accuracies):
        axes.set_xticks(numbers)
        axes.grid(color=SOFT, lw=0.6)
    return _png(figure)


def _confusion(evaluation: Evaluation) -> str:
    counts = np.array(evaluation.confusion, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(4.0, 0.34 * len(evaluation.intents) + 1.5)
    figure, (axes,) = _figure(side, side)
    axes.imshow(shares, cmap="YlGnBu", vmin=0, vmax=1)
    places = range(len(evaluation.intents))
    axes.set_xticks(places, evaluation.intents, rotation=90)
    axes.set_yticks(places, evaluation.intents)
    axes.set(xlabel="found", ylabel="wanted")
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=7, color=color)
    return _png(figure)


def _intents(evaluation: Evaluation) -> str:
    languages = [name for name in evaluation.parts if name != ALL]
    overall = evaluation.parts[ALL].intents.per_intent
    names = sorted(overall, key=lambda name: overall[name].f1)
    figure, axes = _figure(9, 0.26 * len(names) + 1, columns=len(languages))
    for one, language in zip(axes, languages, strict=True):
        scores = evaluation.parts[language].intents.per_intent
        values = [scores[name].f1 if name in scores else 0.0 for name in names]
        one.barh(range(len(names)), values, color=[ACCENT if value >= 0.9 else WARM for value in values], height=0.7)
        one.set_yticks(range(len(names)), names)
        one.set(xlim=(0, 1), xlabel="F1", title=LANGUAGES.get(language, language))
        one.grid(axis="x", color=SOFT, lw=0.6)
        one.set_axisbelow(True)
    return _png(figure)


def _rejection(evaluation: Evaluation) -> str:
    figure, (histogram, curve) = _figure(9, 3.4, columns=2)
    scores = evaluation.parts[ALL].out_of_scope
    edges = np.linspace(0, 1, 31).tolist()
    histogram.hist(scores.inside, edges, color=ACCENT, alpha=0.75, label="in scope")
    histogram.hist(scores.outside, edges, color=WARM, alpha=0.75, label="out of scope")
    histogram.axvline(scores.threshold, color=INK, ls="--", lw=1, label=f"threshold {scores.threshold:.2f}")
    histogram.set(xlabel="out-of-scope score", ylabel="sentences", yscale="symlog", title="Scores")
    histogram.legend(frameon=False, fontsize=8)
    for (name, part), color in zip(evaluation.parts.items(), (INK, ACCENT, WARM), strict=False):
        x, y = zip(*part.out_of_scope.curve, strict=True)
        label = f"{LANGUAGES.get(name, name)} ({part.out_of_scope.auroc:.3f})"
        curve.plot(x, y, color=color, lw=1.4, label=label)
    curve.plot([0, 1], [0, 1], color=SOFT, lw=1)
    curve.set(xlabel="false alarms", ylabel="found", title="Receiver operating characteristic (area)")
    curve.legend(frameon=False, fontsize=8, loc="lower right")
    return _png(figure)


def _reliability(evaluation: Evaluation) -> str:
    figure, axes = _figure(9, 3.2, columns=len(evaluation.parts))
    for one, (name, part) in zip(axes, evaluation.parts.items(), strict=True):
        _one_reliability(one, part)
        one.set_title(f"{LANGUAGES.get(name, name)}: error {part.calibration.ece:.3f}", fontsize=9)
    return _png(figure)


def _one_reliability(axes: "Axes", scores: LanguageScores) -> None:
    bins = scores.calibration.bins
    axes.plot([0, 1], [0, 1], color=SOFT, lw=1)
    axes.bar(
        [b.low for b in bins],
        [b.accuracy for b in bins],
        [b.high - b.low for b in bins],
        align="edge",
        color=ACCENT,
        alpha=0.35,
        edgecolor="white",
    )
    sizes = [8 + 90 * b.count / scores.count for b in bins]
    axes.scatter([b.confidence for b in bins], [b.accuracy for b in bins], s=sizes, color=WARM, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
