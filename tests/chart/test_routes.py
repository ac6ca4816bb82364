"""How the chat is reached from outside: Ingress, Gateway API, certificate."""

import pytest

from services.dialogue.api import dead_letters, dead_turns, decisions, desk
from services.dialogue.conversation.stream import MAX_LIFE_SECONDS
from tests.chart.chart import Rendered, render
from tests.chart.test_network import edges
from tests.chart.variants import rendered

STREAM = "/v1/conversations/"
"""Streams are below this path."""
STAFF = [route.path for each in (desk, decisions, dead_letters, dead_turns) for route in each.router.routes]
"""Where staff work: hand-offs, approvals, what was given up, the audit log."""


def ingress(**values: object) -> Rendered:
    """The chart with an Ingress."""
    return render({"ingress": {"enabled": True, **values}})


def test_nothing_is_exposed_by_default() -> None:
    chart = rendered("default")
    assert {"Ingress", "HTTPRoute", "Certificate"} & {each["kind"] for each in chart.objects} == set()
    assert {each["spec"]["type"] for each in chart.of("Service")} == {"ClusterIP"}


def test_an_ingress_leads_to_the_chat() -> None:
    chart = ingress(hosts=["chat.a.example", "chat.b.example"], className="nginx")
    spec = chart.get("Ingress", "dialogue")["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert [each["host"] for each in spec["rules"]] == ["chat.a.example", "chat.b.example"]
    for rule in spec["rules"]:
        (path,) = rule["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
        service = chart.get("Service", path["backend"]["service"]["name"].removeprefix("zhiyin-"))
        assert path["backend"]["service"]["port"]["name"] in {each["name"] for each in service["spec"]["ports"]}
        assert service["metadata"]["labels"]["app.kubernetes.io/component"] == "dialogue"


def test_an_ingress_lets_streams_stay_open() -> None:
    annotations = ingress().get("Ingress", "dialogue")["metadata"]["annotations"]
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert int(annotations[f"nginx.ingress.kubernetes.io/{name}"]) >= MAX_LIFE_SECONDS
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"


def test_annotations_of_another_controller() -> None:
    annotations = ingress(annotations={"haproxy.org/timeout-tunnel": "1h"}).get("Ingress", "dialogue")["metadata"]
    assert annotations["annotations"]["haproxy.org/timeout-tunnel"] == "1h"


def test_an_ingress_with_tls() -> None:
    spec = ingress(hosts=["chat.a.example"], tls={"enabled": True, "secretName": "mine"}).get("Ingress", "dialogue")[
        "spec"
    ]
    assert spec["tls"] == [{"hosts": ["chat.a.example"], "secretName": "mine"}]
    assert "tls" not in ingress().get("Ingress", "dialogue")["spec"]


@pytest.mark.parametrize("secret", ["", "mine"])
def test_the_certificate_is_the_one_that_the_ingress_uses(secret: str) -> None:
    chart = render(
        {
            "ingress": {"enabled": True, "hosts": ["chat.a.example"], "tls": {"enabled": True, "secretName": secret}},
            "certificate": {"enabled": True, "issuerRef": {"name": "letsencrypt", "kind": "Issuer"}},
        }
    )
    (certificate,) = chart.of("Certificate")
    spec = certificate["spec"]
    assert spec["secretName"] == chart.get("Ingress", "dialogue")["spec"]["tls"][0]["secretName"]
    assert spec["dnsNames"] == ["chat.a.example"]
    assert spec["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "letsencrypt"}


def test_a_route_of_the_gateway_api() -> None:
    chart = rendered("add-ons")
    spec = chart.get("HTTPRoute", "dialogue")["spec"]
    assert spec["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    assert spec["hostnames"] == ["chat.shop.example"]
    for rule in spec["rules"]:
        (backend,) = rule["backendRefs"]
        service = chart.get("Service", backend["name"].removeprefix("zhiyin-"))
        assert backend["port"] in {each["port"] for each in service["spec"]["ports"]}


def test_a_route_lets_streams_stay_open_and_requests_not() -> None:
    rules = rendered("add-ons").get("HTTPRoute", "dialogue")["spec"]["rules"]
    timeouts = {match["path"]["value"]: rule["timeouts"]["request"] for rule in rules for match in rule["matches"]}
    streaming = next(value for path, value in timeouts.items() if path != "/" and STREAM.startswith(path))
    assert int(streaming.removesuffix("s")) >= MAX_LIFE_SECONDS
    assert int(timeouts["/"].removesuffix("s")) < MAX_LIFE_SECONDS


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_a_second_service_for_the_outside(kind: str) -> None:
    chart = render(
        {
            "networkPolicy": {"ingressFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
            "components": {"dialogue": {"service": {"type": kind, "annotations": {"a": "b"}}}},
        }
    )
    outside = chart.get("Service", "dialogue-external")
    assert outside["spec"]["type"] == kind
    # Otherwise a node answers in the client's name, and every customer has that node's address.
    assert outside["spec"]["externalTrafficPolicy"] == "Local"
    assert outside["metadata"]["annotations"] == {"a": "b"}
    assert [each["name"] for each in outside["spec"]["ports"]] == ["http"]
    inside = chart.get("Service", "dialogue")
    assert inside["spec"]["type"] == "ClusterIP"
    assert "annotations" not in inside["metadata"]
    assert "externalTrafficPolicy" not in inside["spec"]
    assert not [name for name in chart.names("Service") if name.endswith("-external")][1:]


def test_staff_come_by_the_same_door_and_nobody_comes_to_business() -> None:
    """What business keeps for them is reached through dialogue, which its policies let through."""
    assert {"/v1/approvals", "/v1/dead-letters", "/v1/desk/events"} <= set(STAFF)
    (rule,) = ingress(hosts=["chat.a.example"]).get("Ingress", "dialogue")["spec"]["rules"]
    by_ingress = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    chart = rendered("add-ons")
    by_gateway = {
        match["path"]["value"]: backend["name"]
        for rule in chart.get("HTTPRoute", "dialogue")["spec"]["rules"]
        for match in rule["matches"]
        for backend in rule["backendRefs"]
    }
    for leads in (by_ingress, by_gateway):
        assert set(leads.values()) == {"zhiyin-dialogue"}
        for path in STAFF:
            assert any(path.startswith(prefix) for prefix in leads), path
    assert ("dialogue", "business", 8080) in edges(chart)
    assert {source for source, target, _ in edges(chart) if target == "business"} == {"dialogue", "consul"}
