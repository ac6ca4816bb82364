"""Every switch of the chart, each turned over alone: objects stay sound, and something changes."""

import copy
from typing import Any

import pytest
import yaml

from tests.chart.api import violations
from tests.chart.chart import CHART, every, pod_template, render
from tests.chart.pod_security import restricted_violations
from tests.chart.test_values_schema import at
from tests.chart.variants import EXTERNAL

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
ALLOWANCES = {"demo.public"}
"""Switches that change no object, but allow values that are refused else; `test_values_schema.py` has them."""
SWITCHES = {
    path.removeprefix("."): value
    for path, value in every(DEFAULTS)
    if isinstance(value, bool) and path.removeprefix(".") not in ALLOWANCES
}

CONTEXTS: dict[str, dict[str, Any]] = {
    "redis.enabled": {"externalRedis": EXTERNAL["externalRedis"]},
    "consul.enabled": {key: EXTERNAL[key] for key in ("externalConsul", "networkPolicy")},
    "postgresql.enabled": {"externalPostgresql": EXTERNAL["externalPostgresql"]},
    "httpRoute.enabled": {"httpRoute": {"parentRefs": [{"name": "public"}]}},
    "certificate.enabled": {"certificate": {"issuerRef": {"name": "letsencrypt"}}},
    "ingress.tls.enabled": {"ingress": {"enabled": True, "tls": {"secretName": "tls"}}},
    "componentDefaults.pdb.enabled": {"componentDefaults": {"replicas": 2}},
    "componentDefaults.serviceAccount.create": {},
    "components.intent.gpu.keepCpuPool": {"components": {"intent": {"gpu": {"enabled": True}}}},
    "learning.": {"learning": {"enabled": True}},
    "shop.": {"shop": {"enabled": True}},
}
"""What must be set for a switch, or for all below a path that ends in a dot, to mean something."""


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Values with others over them."""
    result = copy.deepcopy(one)
    for key, value in other.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def context(path: str) -> dict[str, Any]:
    """The values that a switch is tried with; without random secrets, so that renderings can be compared."""
    fixed = {"secrets": {"existingSecret": "mine"}}
    for prefix, values in CONTEXTS.items():
        if path == prefix or (prefix.endswith(".") and path.startswith(prefix) and path != f"{prefix}enabled"):
            return merged(fixed, values)
    return fixed


def test_the_switches_are_found() -> None:
    assert {"redis.enabled", "networkPolicy.enabled", "components.intent.gpu.enabled"} <= SWITCHES.keys()


@pytest.mark.parametrize("path", SWITCHES)
def test_a_switch(path: str) -> None:
    before = render(context(path)).objects
    turned = render(merged(context(path), at(path, not SWITCHES[path])))
    assert turned.objects != before
    assert {each["metadata"]["name"]: found for each in turned.objects if (found := violations(each))} == {}
    for each in turned.workloads():
        assert restricted_violations(pod_template(each)) == []
