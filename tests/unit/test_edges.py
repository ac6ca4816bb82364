"""What NetworkPolicies allow, as the cluster's tests read them."""

from typing import Any

from tests.cluster.edges import allowed

COMPONENTS = {name: {"app": "zhiyin", "component": name} for name in ("dialogue", "intent", "redis")}
PORTS = {"dialogue": {"http": 8080}, "intent": {"http": 8080, "metrics": 9090}, "redis": {"redis": 6379}}


def policy(component: str | None, **ways: Any) -> dict[str, Any]:
    labels = {"app": "zhiyin"} | ({"component": component} if component else {})
    return {
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": [way.capitalize() for way in ways],
            **{way: rules for way, rules in ways.items() if rules},
        }
    }


def to(component: str, port: int | str) -> dict[str, Any]:
    return {"to": [{"podSelector": {"matchLabels": {"component": component}}}], "ports": [{"port": port}]}


def by(component: str, port: int | str) -> dict[str, Any]:
    return {"from": [{"podSelector": {"matchLabels": {"component": component}}}], "ports": [{"port": port}]}


def test_nothing_passes_a_default_deny() -> None:
    assert allowed([policy(None, ingress=[], egress=[])], COMPONENTS, PORTS) == set()


def test_an_edge_needs_both_ends() -> None:
    closed = policy(None, ingress=[], egress=[])
    out, into = policy("dialogue", egress=[to("intent", 8080)]), policy("intent", ingress=[by("dialogue", "http")])
    assert allowed([closed, out], COMPONENTS, PORTS) == set()
    assert allowed([closed, into], COMPONENTS, PORTS) == set()
    assert allowed([closed, out, into], COMPONENTS, PORTS) == {("dialogue", "intent", 8080)}


def test_peers_in_other_namespaces_are_not_ours() -> None:
    anywhere = policy("intent", ingress=[{"from": [{"namespaceSelector": {}}], "ports": [{"port": 9090}]}])
    closed = policy(None, ingress=[], egress=[])
    out = policy("dialogue", egress=[to("intent", 9090)])
    assert allowed([closed, out, anywhere], COMPONENTS, PORTS) == set()


def test_where_no_policy_is_everything_passes() -> None:
    assert ("redis", "dialogue", 8080) in allowed([], COMPONENTS, PORTS)
