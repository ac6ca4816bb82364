"""Values that nobody can have meant are refused, with a sentence that helps."""

from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, render
from tests.chart.variants import COMPONENTS
from tests.kubernetes import CommandFailed


def at(path: str, value: Any) -> dict[str, Any]:
    """Values with one value at a dotted path."""
    for part in reversed(path.split(".")):
        value = {part: value}
    result: dict[str, Any] = value
    return result


TYPOS = [
    ("replicas", 3),
    ("component.login.replicas", 3),
    ("components.dialog.replicas", 3),
    ("components.login.replica", 3),
    ("components.login.image.tags", "1"),
    ("components.login.resource", {"limits": {"memory": "1Gi"}}),
    ("components.login.resources.request", {"cpu": 1}),
    ("components.login.nodeselector", {"a": "b"}),
    ("components.login.environment", {"A": "b"}),
    ("components.login.pdb.minAvailabel", 1),
    ("components.login.autoscaling.minReplica", 2),
    ("components.login.autoscaling.targetCPU", 2),
    ("components.login.service.typ", "NodePort"),
    ("components.login.serviceAccount.nam", "x"),
    ("components.login.gpu.enabled", True),
    ("components.intent.gpu.enable", True),
    ("components.intent.gpu.resource", "nvidia.com/gpu"),
    ("components.worker.keda.maxReplica", 3),
    ("componentDefaults.replica", 3),
    ("image.tags", "1"),
    ("registry.kind", "consul"),
    ("secrets.existing", "x"),
    ("redis.enable", False),
    ("redis.persistence.sizes", "1Gi"),
    ("postgresql.auth.password", "x"),
    ("externalRedis.uri", "redis://x"),
    ("externalPostgresql.logn.url", "postgresql://x"),
    ("ingress.host", "chat.example.com"),
    ("ingress.tls.secret", "x"),
    ("httpRoute.parentRef", []),
    ("networkPolicy.enable", True),
    ("serviceMonitor.enable", True),
    ("learning.gpu.enable", True),
    ("migrations.enable", False),
    ("priorityClasses.enabled", True),
    ("tests.replySecond", 3),
]


@pytest.mark.parametrize(("path", "value"), TYPOS, ids=[path for path, _ in TYPOS])
def test_a_typo_is_named(path: str, value: Any) -> None:
    with pytest.raises(CommandFailed) as refusal:
        render(at(path, value))
    parts = path.split(".")
    message = str(refusal.value)
    assert any(f"'{part}'" in message for part in parts), message
    assert "not allowed" in message


WRONG = [
    ("environment", "prod", "development"),
    ("registry.mode", "eureka", "kubernetes"),
    ("installation", "Shop A", "pattern"),
    ("installation", "a" * 33, "pattern"),
    ("demo.public", "yes", "boolean"),
    ("logLevel", "verbose", "debug"),
    ("image.pullPolicy", "Sometimes", "IfNotPresent"),
    ("components.login.replicas", -1, "minimum"),
    ("components.login.replicas", "two", "integer"),
    ("components.login.podAntiAffinityPreset", "weak", "soft"),
    ("components.login.image.digest", "1234", "pattern"),
    ("components.login.env", [{"name": "A", "value": "b"}], "object"),
    ("components.login.extraEnv", {"A": "b"}, "array"),
    ("components.login.service.type", "Cluster", "ClusterIP"),
    ("components.intent.gpu.count", 0, "minimum"),
    ("redis.enabled", "yes", "boolean"),
    ("ingress.hosts", "chat.example.com", "array"),
    ("certificate.issuerRef.kind", "Cluster", "ClusterIssuer"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_the_error_of_a_wrong_value_says_what_it_should_be(path: str, value: Any, said: str) -> None:
    with pytest.raises(CommandFailed) as refusal:
        render(at(path, value))
    message = str(refusal.value)
    assert path.rsplit(".", 1)[-1] in message
    assert said in message, message


CONTRADICTIONS = [
    ({"faults": {"a": 1}}, "faults injects failures"),
    ({"environment": "development", "ingress": {"enabled": True}}, r"ingress\.enabled would show the demo"),
    (
        {"environment": "development", "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
        r"httpRoute\.enabled would show the demo",
    ),
    *(
        (
            {
                "environment": "development",
                "networkPolicy": {"ingressFrom": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]},
                "components": {component: {"service": {"type": kind}}},
            },
            rf"components\.{component}\.service\.type would show the demo",
        )
        for component, kind in (("dialogue", "LoadBalancer"), ("dialogue", "NodePort"), ("login", "LoadBalancer"))
    ),
    ({"components": {"dialogue": {"service": {"type": "LoadBalancer"}}}}, r"networkPolicy\.ingressFrom"),
    (
        {"consul": {"enabled": False}, "externalConsul": {"url": "http://consul:8500"}},
        r"networkPolicy\.consulFrom",
    ),
    ({"ingress": {"enabled": True, "tls": {"enabled": True}}}, r"ingress\.tls\.secretName"),
    ({"certificate": {"enabled": True}}, r"certificate\.issuerRef\.name"),
    ({"httpRoute": {"enabled": True}}, r"httpRoute\.parentRefs"),
    (
        {
            "redis": {"enabled": False},
            "externalRedis": {"existingSecret": "stores"},
            "components": {"worker": {"keda": {"enabled": True}}},
        },
        r"components\.worker\.keda\.redisAddress",
    ),
]


@pytest.mark.parametrize(("values", "said"), CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        render(values)


@pytest.mark.parametrize(
    "values",
    [
        {"ingress": {"enabled": True}},
        {"environment": "development"},
        {"environment": "development", "ingress": {"enabled": True}, "demo": {"public": True}},
        {
            "consul": {"enabled": False},
            "externalConsul": {"url": "http://consul:8500"},
            "networkPolicy": {"enabled": False},
        },
        {
            "consul": {"enabled": False},
            "externalConsul": {"url": "http://consul:8500"},
            "registry": {"mode": "kubernetes"},
        },
    ],
)
def test_values_that_fit_are_not_refused(values: dict[str, Any]) -> None:
    assert render(values).objects


def test_the_defaults_of_every_component_are_settings_of_each() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["componentDefaults"]
    for component in COMPONENTS:
        assert render({"components": {component: defaults}}).objects


def test_values_that_helm_adds_itself_are_accepted() -> None:
    """A parent chart hands its `global` down, whatever else is in it."""
    assert render({"global": {"somethingOfTheParent": {"a": 1}}}).objects
