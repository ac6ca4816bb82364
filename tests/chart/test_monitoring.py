"""What is measured is read, and what is read is measured: monitor, alerts and dashboards against the services' code."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.chart import CHART, NAMESPACE, Object, render
from tests.chart.promql import CLUSTER_METRICS, SCRAPE_LABELS, TARGET_LABELS, exported, labels_of, metrics_of
from tests.chart.variants import COMPONENTS, rendered

DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
RULES = rendered("add-ons").get("PrometheusRule", "")["spec"]["groups"]
ALERTS: dict[str, Object] = {rule["alert"]: rule for group in RULES for rule in group["rules"] if "alert" in rule}


def unknown(expression: str) -> set[str]:
    """Metrics and labels that an expression names and nobody exports."""
    metrics = metrics_of(expression)
    assert metrics, f"{expression} reads nothing"
    ours = {each for each in metrics if each not in CLUSTER_METRICS}
    missing = {each for each in ours if each not in exported()}
    if missing or len(ours) < len(metrics):
        return missing
    known = SCRAPE_LABELS.union(*(exported()[each] for each in ours))
    return labels_of(expression) - known


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("sum by (job) (rate(a_total{x='1'}[5m])) / 3", {"a_total"}, {"job", "x"}),
        ("histogram_quantile(0.95, sum by (le) (rate(b_bucket[$__rate_interval]))) > 1.5", {"b_bucket"}, {"le"}),
        ("max(c) unless on(pod) d offset 5m", {"c", "d"}, {"pod"}),
    ],
)
def test_expressions_are_read_rightly(expression: str, metrics: set[str], labels: set[str]) -> None:
    assert (metrics_of(expression), labels_of(expression)) == (metrics, labels)


def test_the_check_finds_what_nobody_exports() -> None:
    assert exported()["zhiyin_http_requests_total"] == {"service", "method", "route", "status"}
    assert unknown("rate(zhiyin_http_requests_total{status='500'}[5m])") == set()
    assert unknown("rate(zhiyin_http_request_total[5m])") == {"zhiyin_http_request_total"}
    assert unknown("rate(zhiyin_http_requests_total{code='500'}[5m])") == {"code"}


def test_no_add_on_is_needed_by_default() -> None:
    kinds = {each["kind"] for each in rendered("default").objects}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert not [each for each in rendered("default").names("ConfigMap") if "dashboard" in each]


def test_the_monitor_finds_every_component() -> None:
    chart = rendered("add-ons")
    monitor = chart.get("ServiceMonitor", "")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    selector = monitor["spec"]["selector"]["matchLabels"]
    (endpoint,) = monitor["spec"]["endpoints"]
    found = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: port["port"]
        for each in chart.of("Service")
        if selector.items() <= each["metadata"]["labels"].items()
        for port in each["spec"]["ports"]
        if port["name"] == endpoint["port"]
    }
    assert found == dict.fromkeys(COMPONENTS, 9090)
    assert "namespaceSelector" not in monitor["spec"]


def test_a_second_service_is_not_read_twice() -> None:
    chart = render(
        {
            "serviceMonitor": {"enabled": True},
            "networkPolicy": {"ingressFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
            "components": {"dialogue": {"service": {"type": "LoadBalancer"}}},
        }
    )
    (endpoint,) = chart.get("ServiceMonitor", "")["spec"]["endpoints"]
    ports = [port["name"] for port in chart.get("Service", "dialogue-external")["spec"]["ports"]]
    assert endpoint["port"] not in ports


def test_labels_of_our_own_win() -> None:
    """The operator gives every series of a target labels of the target; where names meet, alerts mean ours."""
    met = {label for labels in exported().values() for label in labels} & TARGET_LABELS
    assert met == {"service"}
    (endpoint,) = rendered("add-ons").get("ServiceMonitor", "")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True


def test_what_does_not_answer_is_reported_for_every_component() -> None:
    """Jobs are named after components, so one alert on `up` is enough."""
    assert "up{" in ALERTS["ZhiyinDown"]["expr"]
    label = rendered("add-ons").get("ServiceMonitor", "")["spec"]["jobLabel"]
    for component in COMPONENTS:
        assert rendered("add-ons").get("Service", component)["metadata"]["labels"][label] == component


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_reads_what_is_exported(name: str) -> None:
    assert unknown(ALERTS[name]["expr"]) == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    assert re.fullmatch(r"[A-Z]\w+", name)
    expression = alert["expr"]
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


def test_alerts_are_about_this_release_only() -> None:
    for name, alert in ALERTS.items():
        assert f'namespace="{NAMESPACE}"' in alert["expr"], name
    assert "NAMESPACE" not in json.dumps(RULES)


def test_dashboards_are_config_maps_for_the_sidecar() -> None:
    chart = rendered("add-ons")
    made = [each for each in chart.of("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    assert {file for each in made for file in each["data"]} == {each.name for each in DASHBOARDS}
    for each in made:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        for text in each["data"].values():
            assert json.loads(text)["panels"]


def panels(dashboard: Any) -> Iterator[dict[str, Any]]:
    """Panels that show something, those in rows too."""
    for each in dashboard["panels"]:
        if each["type"] == "row":
            yield from panels(each)
        else:
            yield each


def expressions(dashboard: Any) -> Iterator[str]:
    """What a dashboard reads."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            yield target["expr"]


def test_there_are_dashboards() -> None:
    assert DASHBOARDS
    uids = [json.loads(each.read_text())["uid"] for each in DASHBOARDS]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_reads_what_is_exported(path: Any) -> None:
    dashboard = json.loads(path.read_text())
    assert {name: found for name in expressions(dashboard) if (found := unknown(name))} == {}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_read_by_people(path: Any) -> None:
    dashboard = json.loads(path.read_text())
    assert dashboard["title"]
    ids = [each["id"] for each in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["type"] == "text" or panel["targets"], panel["title"]
        assert panel["type"] in ("text", "logs") or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        # No data source of a particular installation.
        assert "${" in json.dumps(panel.get("datasource", "${")), panel["title"]
