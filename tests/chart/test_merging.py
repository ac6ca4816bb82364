"""What the values add to what the chart writes: the user's wins, and nothing stands twice or breaks when it is gone."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, pod_template, render
from tests.chart.variants import ADDONS
from tests.kubernetes import CommandFailed


def test_a_variable_that_the_chart_sets_as_well_is_the_users() -> None:
    chart = render({"config": {"ZHIYIN_LOG_LEVEL": "debug", "ZHIYIN_PORT": 8080, "ZHIYIN_HOST": "::"}})
    data = chart.get("ConfigMap", "config")["data"]
    assert {name: data[name] for name in ("ZHIYIN_LOG_LEVEL", "ZHIYIN_PORT", "ZHIYIN_HOST")} == {
        "ZHIYIN_LOG_LEVEL": "debug",
        "ZHIYIN_PORT": "8080",
        "ZHIYIN_HOST": "::",
    }


def test_labels_and_annotations_that_the_chart_sets_as_well_are_the_users() -> None:
    chart = render(
        {
            "commonLabels": {"app.kubernetes.io/part-of": "desk", "team": "support"},
            "componentDefaults": {
                "podLabels": {"app.kubernetes.io/version": "mine", "helm.sh/chart": "mine", "team": "chat"},
                "podAnnotations": {"checksum/config": "pinned", "kubectl.kubernetes.io/default-container": "mine"},
            },
        }
    )
    pod = chart.pod("login")["metadata"]
    assert pod["labels"]["app.kubernetes.io/version"] == pod["labels"]["helm.sh/chart"] == "mine"
    assert (pod["labels"]["app.kubernetes.io/part-of"], pod["labels"]["team"]) == ("desk", "chat")
    assert pod["annotations"]["checksum/config"] == "pinned"
    assert pod["annotations"]["kubectl.kubernetes.io/default-container"] == "mine"
    assert pod["annotations"]["checksum/secret"]


def test_labels_of_all_are_on_every_object_and_pod() -> None:
    chart = render({**ADDONS, "commonLabels": {"cost-centre": "42"}, "learning": {"enabled": True}})
    for each in chart.objects:
        assert each["metadata"]["labels"]["cost-centre"] == "42", (each["kind"], each["metadata"]["name"])
    for each in chart.workloads():
        assert pod_template(each)["metadata"]["labels"]["cost-centre"] == "42", each["metadata"]["name"]
        assert "cost-centre" not in each["spec"].get("selector", {}).get("matchLabels", {})


@pytest.mark.parametrize("label", ["name", "instance", "component"])
@pytest.mark.parametrize("path", ["commonLabels", "componentDefaults.podLabels", "components.worker.podLabels"])
def test_labels_by_which_pods_are_found_are_refused(path: str, label: str) -> None:
    values: dict[str, Any] = {f"app.kubernetes.io/{label}": "mine"}
    for part in reversed(path.split(".")):
        values = {part: values}
    with pytest.raises(CommandFailed, match=f"(?s){path}.*app.kubernetes.io/{label}.*leave it out"):
        render(values)


@pytest.mark.parametrize("labels", [{"a b": "c"}, {"a": "b c"}, {"a": "x" * 64}, {"-a": "b"}, {"a": 7}])
def test_labels_that_kubernetes_does_not_take_are_refused(labels: Any) -> None:
    for values in ({"commonLabels": labels}, {"componentDefaults": {"podLabels": labels}}):
        with pytest.raises(CommandFailed, match=r"ommonLabels|podLabels"):
            render(values)


def test_annotations_of_the_ingress_win_over_the_charts() -> None:
    mine = {"nginx.ingress.kubernetes.io/proxy-buffering": "on", "example.com/owner": "me"}
    chart = render({"ingress": {"enabled": True, "annotations": mine}})
    annotations = chart.get("Ingress", "dialogue")["metadata"]["annotations"]
    assert mine.items() <= annotations.items()
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "3600"


def test_monitoring_keeps_its_labels_beside_the_charts() -> None:
    labels = {"app.kubernetes.io/part-of": "metrics", "release": "prometheus"}
    chart = render({name: {"enabled": True, "labels": labels} for name in ("serviceMonitor", "prometheusRule")})
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert labels.items() <= chart.get(kind, "")["metadata"]["labels"].items()


def maps(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every map among the chart's values, by its dotted path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield ".".join((*path, key))
            yield from maps(value, (*path, key))


MAPS = tuple(maps(yaml.safe_load((CHART / "values.yaml").read_text())))
OPTIONAL = tuple(each for each in MAPS if each.endswith((".requests", ".limits", ".scaleUp", ".scaleDown")))


def taken_away(paths: Iterable[str]) -> dict[str, Any]:
    """Values that remove these and all below them, as `--set redis=null` does."""
    values: dict[str, Any] = {}
    for path in paths:
        *above, last = path.split(".")
        inner = values
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = None
    return values


@functools.cache
def missed(depth: int) -> frozenset[str]:
    """What the sentences miss where every map so deep is taken away; one call of helm for all of them."""
    there = [each for each in MAPS if each not in OPTIONAL and each.count(".") == depth]
    with pytest.raises(CommandFailed) as refused:
        render(taken_away(there))
    sentences = re.findall(r"at '(.*?)': missing propert(?:y|ies) (.*)", str(refused.value))
    return frozenset(
        ".".join((*place.split("/")[1:], name)) for place, names in sentences for name in re.findall("'(.*?)'", names)
    )


@pytest.mark.parametrize("path", [each for each in MAPS if each not in OPTIONAL])
def test_a_map_that_is_taken_away_is_missed_in_a_sentence(path: str) -> None:
    assert path in missed(path.count("."))


def test_maps_that_may_be_taken_away() -> None:
    assert len(OPTIONAL) > 2
    assert render(taken_away(OPTIONAL)).objects
