"""Nothing is let through but what is really called, and all that is really called is let through at both ends."""

import ast
import functools
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.chart.chart import PROJECT, Object, Rendered, pod_template, render
from tests.chart.test_settings import variables
from tests.chart.variants import COMPONENTS, EXTERNAL, VARIANTS, rendered
from tests.cluster.edges import Edge, allowed

CALLS = {"get", "post", "put", "patch", "delete", "request", "stream", "call"}
KEYS_OF_LOGIN = {("dialogue", "login"), ("intent", "login"), ("business", "login")}
"""Who verifies tokens, with login's public keys, which `shared` fetches."""

OF_THE_CHART = {"redis", "postgresql", "consul"}


def policies(chart: Rendered) -> list[Object]:
    """Its NetworkPolicies."""
    return chart.of("NetworkPolicy")


def components(chart: Rendered) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, int]]]:
    """Labels and ports of the pods of each component."""
    labels: dict[str, dict[str, str]] = {}
    ports: dict[str, dict[str, int]] = {}
    for each in chart.workloads():
        template = pod_template(each)
        name = template["metadata"]["labels"]["app.kubernetes.io/component"]
        labels[name] = template["metadata"]["labels"]
        for container in template["spec"]["containers"]:
            named = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            ports.setdefault(name, {}).update(named)
    return labels, ports


def edges(chart: Rendered) -> set[Edge]:
    """What the policies allow between the pods of the chart, metrics aside: every pod of the cluster may read those."""
    found = allowed(policies(chart), *components(chart))
    return {each for each in found if each[2] != 9090}


@functools.cache
def service_calls() -> set[tuple[str, str]]:
    """Which service calls which by name, read from the services' code."""
    found = set()
    for caller in ("login", "dialogue", "intent", "business"):
        for file in (PROJECT / "services" / caller).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
                    first = node.args[0] if node.args else None
                    if isinstance(first, ast.Constant) and first.value in ("login", "dialogue", "intent", "business"):
                        found.add((caller, first.value))
    return found


def store_edges(chart: Rendered, component: str) -> set[Edge]:
    """The stores of the chart that a component's variables name."""
    found = set()
    for name, value in variables(chart, component).items():
        if name in ("ZHIYIN_REDIS_URL", "ZHIYIN_DATABASE_URL", "ZHIYIN_CONSUL_URL"):
            address = urlsplit(value)
            store = (address.hostname or "").removeprefix("zhiyin-")
            if store in OF_THE_CHART:
                found.add((component, store, address.port or 0))
    return found


@pytest.mark.parametrize("variant", ["default", "kubernetes registry", "demo", "gpu", "own names"])
def test_the_policies_allow_exactly_what_is_configured_and_called(variant: str) -> None:
    chart = rendered(variant)
    expected: set[Edge] = {(caller, target, 8080) for caller, target in service_calls() | KEYS_OF_LOGIN}
    for component in COMPONENTS:
        expected |= store_edges(chart, component)
    expected.add(("migrations", "postgresql", 5432))
    if variant != "kubernetes registry":
        expected |= {("consul", component, 8080) for component in COMPONENTS}
        expected.add(("worker", "login", 8080))
    found = edges(chart)
    # Everybody may reach the chat, so pods of the chart may as well if their own side lets them, which only these do.
    allowed_here = {each for each in found if each[0] not in ("tests", "learning")}
    assert allowed_here == expected


def test_the_calls_between_services_are_those_that_are_known() -> None:
    assert service_calls() == {("dialogue", "login"), ("dialogue", "intent"), ("dialogue", "business")}


def test_helm_test_reaches_the_chat_only() -> None:
    assert {each for each in edges(rendered("default")) if each[0] == "tests"} == {("tests", "dialogue", 8080)}


def test_every_pod_is_denied_what_no_policy_allows() -> None:
    chart = rendered("default")
    denies = [each for each in policies(chart) if not each["spec"].get("ingress") and not each["spec"].get("egress")]
    (deny,) = denies
    assert set(deny["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    selector = deny["spec"]["podSelector"]["matchLabels"]
    for each in chart.workloads():
        assert selector.items() <= pod_template(each)["metadata"]["labels"].items(), each["metadata"]["name"]
    # The namespace may have others' pods.
    assert selector


def test_names_are_resolved() -> None:
    dns = [
        rule
        for each in policies(rendered("default"))
        for rule in each["spec"].get("egress", [])
        if {(port["port"], port["protocol"]) for port in rule.get("ports", [])} == {(53, "UDP"), (53, "TCP")}
    ]
    (rule,) = dns
    assert {"k8s-app": "kube-dns"} in [each.get("podSelector", {}).get("matchLabels") for each in rule["to"]]


def test_metrics_may_be_read_from_where_it_is_said() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    chart = render({"networkPolicy": {"metricsFrom": [peer]}})
    for component in COMPONENTS:
        rules = entries(chart, component, 9090)
        assert rules == [{"from": [peer], "ports": [{"port": 9090, "protocol": "TCP"}]}], component


def entries(chart: Rendered, component: str, port: int) -> list[Any]:
    """The rules that allow connections to a port."""
    return [
        rule
        for each in policies(chart)
        if each["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") == component
        for rule in each["spec"].get("ingress", [])
        if port in [entry["port"] for entry in rule["ports"]]
    ]


def test_who_may_reach_the_chat() -> None:
    in_cluster: list[Object] = [{"namespaceSelector": {}}]
    assert {"from": in_cluster, "ports": [{"port": 8080, "protocol": "TCP"}]} in entries(
        rendered("default"), "dialogue", 8080
    )
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    chart = render({"networkPolicy": {"ingressFrom": [peer]}})
    rules = entries(chart, "dialogue", 8080)
    assert {"from": [peer], "ports": [{"port": 8080, "protocol": "TCP"}]} in rules
    assert all(rule.get("from") for rule in rules)


ANYWHERE = ({"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}})


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_open_to_everybody(variant: str) -> None:
    for each in policies(rendered(variant)):
        for rule in each["spec"].get("ingress", []):
            name = each["metadata"]["name"]
            assert rule.get("from"), f"{name} lets everybody in: {rule}"
            assert not [peer for peer in rule["from"] if peer in ANYWHERE or not peer], f"{name}: {rule}"


def test_the_chat_is_open_to_everybody_where_that_is_said_aloud() -> None:
    chart = render({"networkPolicy": {"ingressFrom": list(ANYWHERE)}})
    assert any(rule["from"] == list(ANYWHERE) for rule in entries(chart, "dialogue", 8080))
    for component in ("login", "intent", "business", "worker"):
        for rule in entries(chart, component, 8080):
            assert not [peer for peer in rule["from"] if peer in ANYWHERE], component


@pytest.mark.parametrize("component", ["login", "intent", "business", "worker"])
def test_who_may_reach_the_chat_reaches_nothing_else(component: str) -> None:
    """Each rule is as narrow as the others, because rules are added up."""
    chart = rendered("values-production.yaml")
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    assert any(ingress in rule["from"] for rule in entries(chart, "dialogue", 8080))
    for rule in entries(chart, component, 8080):
        for peer in rule["from"]:
            outside = peer.get("namespaceSelector", {}).get("matchLabels", {})
            assert outside in ({}, {"kubernetes.io/metadata.name": "consul"}), rule


def outward(chart: Rendered, component: str) -> set[int]:
    """Ports that a component may reach outside of the chart."""
    found = set()
    for each in policies(chart):
        if each["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") == component:
            for rule in each["spec"].get("egress", []):
                if any("ipBlock" in peer for peer in rule["to"]):
                    found |= {port["port"] for port in rule["ports"]}
    return found


def test_external_stores_are_reached_on_their_own_ports_only() -> None:
    chart = rendered("external stores")
    assert outward(chart, "login") == {6380, 6432, 8501}
    assert outward(chart, "dialogue") == {6380, 6432, 8501}
    assert outward(chart, "intent") == {8501}
    assert outward(chart, "migrations") == {6432}
    assert outward(rendered("default"), "login") == set()


def test_external_stores_whose_address_is_a_secret() -> None:
    chart = render(
        {
            "redis": {"enabled": False},
            "externalRedis": {"existingSecret": "stores"},
            "networkPolicy": {"externalPorts": {"redis": 7000}, "externalTo": [{"ipBlock": {"cidr": "10.8.0.0/16"}}]},
        }
    )
    assert outward(chart, "dialogue") == {7000}
    assert {"ipBlock": {"cidr": "10.8.0.0/16"}} in [
        peer for each in policies(chart) for rule in each["spec"].get("egress", []) for peer in rule["to"]
    ]


@pytest.mark.parametrize(
    ("mlflow", "port"),
    [
        ({"url": "https://mlflow.example.com"}, 443),
        ({"url": "http://mlflow.example.com"}, 80),
        ({"url": "http://mlflow.example.com:5050"}, 5050),
        ({"existingSecret": "tracking"}, 5000),
    ],
)
def test_a_model_registry_is_reached_by_who_serves_models(mlflow: dict[str, str], port: int) -> None:
    chart = render({"externalMlflow": mlflow})
    assert outward(chart, "intent") == {port}
    assert outward(chart, "dialogue") == set()


def test_an_external_consul_may_look_whether_services_are_well() -> None:
    """Its checks come from outside of the chart, on the services' own port, and from where they are said to come."""
    chart = render(EXTERNAL)
    for component in COMPONENTS:
        outside = [peer for rule in entries(chart, component, 8080) for peer in rule["from"] if "ipBlock" in peer]
        assert outside == [{"ipBlock": {"cidr": "10.20.0.0/16"}}], component


def test_no_policies_when_they_are_not_wanted() -> None:
    assert policies(rendered("no network policy")) == []
