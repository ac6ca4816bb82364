"""What is counted of a model's batches and of texts that were not answered."""

import pytest
from prometheus_client import REGISTRY

from services.intent.metrics import REASONS, ModelMetrics, forget

LABELS = {"model": "counted", "version": "v1"}


def figure(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"zhiyin_intent_{name}", {**LABELS, **labels})


@pytest.fixture
def metrics() -> ModelMetrics:
    forget("counted", "v1")
    return ModelMetrics("counted", "v1")


def test_each_text_of_a_batch_has_waited_and_the_batch_was_computed_once(metrics: ModelMetrics) -> None:
    metrics.batch(waited=[0.25, 0.5, 0.0], seconds=0.125, tokens=40, padding=8)
    metrics.batch(waited=[0.25], seconds=0.25, tokens=5, padding=0)
    assert (figure("queue_seconds_count"), figure("queue_seconds_sum")) == (4, 1.0)
    assert (figure("batch_seconds_count"), figure("batch_seconds_sum")) == (2, 0.375)
    assert (figure("batch_texts_count"), figure("batch_texts_sum")) == (2, 4)
    assert (figure("tokens_total", kind="text"), figure("tokens_total", kind="padding")) == (45, 8)


def test_every_reason_is_there_from_the_start_and_counts_its_texts(metrics: ModelMetrics) -> None:
    assert {reason: figure("refused_total", reason=reason) for reason in REASONS} == dict.fromkeys(REASONS, 0)
    for number, reason in enumerate(REASONS, 1):
        metrics.refused(reason, number)
    assert [figure("refused_total", reason=reason) for reason in REASONS] == [1, 2, 3, 4]
    with pytest.raises(KeyError):
        metrics.refused("a mood", 1)
