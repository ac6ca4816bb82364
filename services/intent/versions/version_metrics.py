"""What operators see of versions beside each other: answers by role, agreement with production, and drift."""

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from services.intent import metrics

__all__ = ["Role", "answered", "compared", "drifted", "dropped", "forget"]

Role = Literal["production", "canary", "shadow"]

DIFFERENCES = (-0.5, -0.2, -0.1, -0.05, -0.02, 0, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
LABELS = ("model", "version", "role")

ANSWERED = Histogram(
    "zhiyin_intent_answer_seconds", "Time of an answer, queue included", LABELS, buckets=metrics.SECONDS
)
COMPARED = Counter(
    "zhiyin_intent_compared_total",
    "Texts that a version and production were both asked, by whether their intents agree",
    [*LABELS, "agree"],
)
CONFIDENCE = Histogram(
    "zhiyin_intent_confidence_difference",
    "Confidence of a version less that of production on the same text",
    LABELS,
    buckets=DIFFERENCES,
)
DROPPED = Counter("zhiyin_intent_comparisons_dropped_total", "Comparisons that were not made", ["model"])
DRIFT = Gauge(
    "zhiyin_intent_drift",
    "Population stability index of the last answers against those after training; from 0.2 on they differ much",
    ["model", "version", "of"],
)


def answered(model: str, version: str, role: Role, seconds: float) -> None:
    """Counts an answer and the time that the caller waited."""
    ANSWERED.labels(model, version, role).observe(seconds)


def compared(model: str, version: str, role: Role, *, agree: bool, gained: float) -> None:
    """Counts a text that production was asked as well; `gained` is what its confidence is more."""
    COMPARED.labels(model, version, role, "yes" if agree else "no").inc()
    CONFIDENCE.labels(model, version, role).observe(gained)


def dropped(model: str) -> None:
    """Counts a comparison that was not made."""
    DROPPED.labels(model).inc()


def drifted(model: str, version: str, of: str, index: float) -> None:
    """Says how far the last answers are from those after training: their `confidence` or their `intent`."""
    DRIFT.labels(model, version, of).set(index)


def forget(model: str, version: str) -> None:
    """Takes away every series of a version that is no longer served, or each new version would leave some behind."""
    metrics.forget(model, version)
    for each in (ANSWERED, COMPARED, CONFIDENCE, DRIFT):
        each.remove_by_labels({"model": model, "version": version})
