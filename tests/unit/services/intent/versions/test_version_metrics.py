"""The series of versions beside each other, and that they go with their version."""

from prometheus_client import REGISTRY

from services.intent.metrics import ModelMetrics
from services.intent.versions import version_metrics


def series(version: str) -> set[str]:
    """The names of everything that is told about a version."""
    return {
        sample.name
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.labels.get("version") == version and not sample.name.endswith("_created")
    }


def test_a_version_leaves_no_series_behind_and_takes_none_of_another() -> None:
    for version in ("leaving", "staying"):
        ModelMetrics("metered", version).looked_up(hits=1, misses=0)
        for role in ("canary", "production"):
            version_metrics.answered("metered", version, role, 0.1)
            version_metrics.compared("metered", version, role, agree=True, gained=0.0)
        for of in ("intent", "confidence"):
            version_metrics.drifted("metered", version, of, 0.1)
    told = series("leaving")
    assert told == series("staying")
    assert {"zhiyin_intent_drift", "zhiyin_intent_compared_total", "zhiyin_intent_cache_total"} <= told
    version_metrics.forget("metered", "leaving")
    assert series("leaving") == set()
    assert series("staying") == told
    version_metrics.forget("metered", "staying")


def test_agreement_and_difference_are_reported_by_role() -> None:
    for agree, gained in ((True, 0.3), (True, -0.1), (False, 0.4)):
        version_metrics.compared("metered", "judged", "canary", agree=agree, gained=gained)
    labels = {"model": "metered", "version": "judged", "role": "canary"}
    values = {
        agree: REGISTRY.get_sample_value("zhiyin_intent_compared_total", {**labels, "agree": agree})
        for agree in ("yes", "no")
    }
    assert values == {"yes": 2, "no": 1}
    below = REGISTRY.get_sample_value("zhiyin_intent_confidence_difference_bucket", {**labels, "le": "0.0"})
    assert below == 1
    version_metrics.forget("metered", "judged")
