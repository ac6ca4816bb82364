"""The checks of objects against API servers catch what they are for."""

import copy
from typing import Any

import pytest

from tests.chart.api import NEWEST, OLDEST, TEST_CLUSTER, violations
from tests.chart.chart import Object, documents
from tests.chart.variants import rendered

DEPLOYMENT = rendered("default").get("Deployment", "login")
MONITOR = rendered("add-ons").get("ServiceMonitor", "")
ROUTE = rendered("add-ons").get("HTTPRoute", "dialogue")
SCALED = rendered("keda").get("ScaledObject", "worker")


def changed(document: Object, path: str, value: Any) -> Object:
    """A copy with another value at a path of keys and indices."""
    copied = copy.deepcopy(document)
    *above, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    holder: Any = copied
    for part in above:
        holder = holder[part]
    holder[last] = value
    return copied


CONTAINER = "spec/template/spec/containers/0"
BROKEN = [
    (DEPLOYMENT, "spec/replica", 3, "replica"),
    (DEPLOYMENT, "spec/replicas", "3", "integer"),
    (DEPLOYMENT, "spec/template/spec/nodeSelectors", {}, "nodeSelectors"),
    (DEPLOYMENT, f"{CONTAINER}/env/0", {"name": "A", "value": 1}, "string"),
    (DEPLOYMENT, f"{CONTAINER}/resources", None, "null"),
    (DEPLOYMENT, f"{CONTAINER}/livenessProbe/httpGet", {"path": "/"}, "port"),
    (DEPLOYMENT, "apiVersion", "extensions/v1beta1", "has no"),
    (MONITOR, "spec/endpoints", [], "at least 1"),
    (MONITOR, "spec/endpoints/0/intervall", "30s", "Extra inputs"),
    (MONITOR, "spec/endpoints/0/interval", "30 s", "pattern"),
    (ROUTE, "spec/rules/0/backendRefs/0/port", "http", "integer"),
    (SCALED, "spec/minReplicas", 2, "Extra inputs"),
    (SCALED, "spec/triggers/0/metadata/listLength", 5, "string"),
]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_whole_objects_have_no_violation(version: str) -> None:
    for each in (DEPLOYMENT, MONITOR, ROUTE, SCALED):
        assert violations(each, version) == []


@pytest.mark.parametrize(("document", "path", "value", "said"), BROKEN, ids=[each[1] for each in BROKEN])
def test_a_broken_object_is_reported(document: Object, path: str, value: Any, said: str) -> None:
    assert [text for text in violations(changed(document, path, value)) if said in text]


def test_fields_that_came_later_are_refused_by_the_older_api() -> None:
    newer = changed(DEPLOYMENT, f"{CONTAINER}/resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}])
    assert violations(newer, NEWEST) == []
    assert violations(newer, OLDEST)


def test_the_test_clusters_api_has_two_groups_more_than_its_age() -> None:
    autoscaler = rendered("autoscaled").get("HorizontalPodAutoscaler", "dialogue")
    assert violations(autoscaler, TEST_CLUSTER) == []
    job = changed(rendered("default").get("Job", "migrations"), "spec/suspend", True)
    assert violations(job, OLDEST) == []
    assert violations(job, TEST_CLUSTER)


def test_keys_that_stand_twice_are_refused() -> None:
    with pytest.raises(Exception, match="twice"):
        documents("a: 1\nb: 2\na: 3\n")
