"""What operators see of the models: one set of series for each version that this process serves."""

from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["SECONDS", "ModelMetrics", "announce", "forget"]

LABELS = ("model", "version")
REASONS = ("full", "share", "deadline", "memory")
"""The queue is full; it is full and another caller has less in it; nobody waits any more; memory ran out."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

WAITED = Histogram("zhiyin_intent_queue_seconds", "Time until a text's batch began", LABELS, buckets=SECONDS)
COMPUTED = Histogram("zhiyin_intent_batch_seconds", "Time of one pass over a batch", LABELS, buckets=SECONDS)
SIZE = Histogram("zhiyin_intent_batch_texts", "Texts in a batch", LABELS, buckets=(1, 2, 4, 8, 16, 32, 64))
TOKENS = Counter("zhiyin_intent_tokens_total", "Tokens computed, of texts or of padding", [*LABELS, "kind"])
ADMITTED = Gauge("zhiyin_intent_admitted_texts", "Texts taken in and not answered yet", LABELS)
INFO = Gauge(
    "zhiyin_intent_model_info", "1 for a model that is served, and how", [*LABELS, "backend", "device", "precision"]
)
LOOKED_UP = Counter("zhiyin_intent_cache_total", "Texts looked for in the cache of answers", [*LABELS, "result"])
REFUSED = Counter("zhiyin_intent_refused_total", "Texts not answered, and why", [*LABELS, "reason"])


def announce(model: str, version: str, *, backend: str, device: str, precision: str) -> None:
    """Says what computes a model that is served from now on."""
    INFO.labels(model, version, backend, device, precision).set(1)


def forget(model: str, version: str) -> None:
    """Takes away every series of a version that is no longer served."""
    for each in (WAITED, COMPUTED, SIZE, TOKENS, ADMITTED, INFO, LOOKED_UP, REFUSED):
        each.remove_by_labels({"model": model, "version": version})


class ModelMetrics:
    """The series of one model version."""

    def __init__(self, model: str, version: str) -> None:
        self._waited = WAITED.labels(model, version)
        self._computed = COMPUTED.labels(model, version)
        self._size = SIZE.labels(model, version)
        self._text = TOKENS.labels(model, version, "text")
        self._padding = TOKENS.labels(model, version, "padding")
        self._admitted = ADMITTED.labels(model, version)
        self._hits = LOOKED_UP.labels(model, version, "hit")
        self._misses = LOOKED_UP.labels(model, version, "miss")
        self._refused = {reason: REFUSED.labels(model, version, reason) for reason in REASONS}

    def batch(self, *, waited: Sequence[float], seconds: float, tokens: int, padding: int) -> None:
        """Counts one batch: how long each text waited, how long the pass took, in seconds, and its tokens."""
        for each in waited:
            self._waited.observe(each)
        self._computed.observe(seconds)
        self._size.observe(len(waited))
        self._text.inc(tokens)
        self._padding.inc(padding)

    def admitted(self, texts: int) -> None:
        """Says how many texts are on their way."""
        self._admitted.set(texts)

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Counts texts that the cache was asked for."""
        self._hits.inc(hits)
        self._misses.inc(misses)

    def refused(self, reason: str, texts: int) -> None:
        """Counts texts that were not answered; `reason` is one of `REASONS`."""
        self._refused[reason].inc(texts)
