"""Names that any API server takes, and that two releases do not share."""

import re

import pytest

from tests.chart.chart import CHART, documents, every, render
from tests.kubernetes import CommandFailed, helm

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONG = "a-shop-with-a-name-of-more-than-forty-letters"


def names(release: str, namespace: str = "support", **values: str) -> dict[str, set[str]]:
    """Names by kind, as `helm install RELEASE` would send them."""
    given = [f"--set={key}={value}" for key, value in values.items()]
    text = helm(
        "template", release, str(CHART), "--namespace", namespace, "--set", "priorityClasses.create=true", *given
    )
    found: dict[str, set[str]] = {}
    for each in documents(text):
        found.setdefault(each["kind"], set()).add(each["metadata"]["name"])
    return found


@pytest.mark.parametrize(
    ("release", "values"),
    [
        ("zhiyin.v2", {}),
        ("2shop", {}),
        ("2", {}),
        ("a.b.c", {}),
        ("x" * 53, {}),
        (LONG, {}),
        ("shop", {"fullnameOverride": "shop.cn"}),
        ("shop", {"fullnameOverride": "1" * 60}),
        ("shop", {"fullnameOverride": "9.9"}),
        ("shop", {"nameOverride": "v1.2"}),
        ("shop", {"nameOverride": "n" * 60}),
    ],
)
def test_every_name_is_good_for_its_object(release: str, values: dict[str, str]) -> None:
    found = names(release, **values)
    for kind, of_kind in found.items():
        for name in of_kind:
            assert len(name) <= (253 if kind == "NetworkPolicy" else 63), f"{kind} {name}"
            assert LABEL.fullmatch(name), f"{kind} {name}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG + "-1", LONG + "-2"),
        ("shop.one", "shop-one"),
        ("2shop", "z2shop"),
        ("zhiyin.v2", "zhiyin-v2"),
    ],
)
def test_two_releases_have_no_name_in_common(one: str, other: str) -> None:
    first, second = names(one), names(other)
    shared = {kind: both for kind in first if (both := first[kind] & second.get(kind, set()))}
    assert shared == {}


def test_a_usual_name_stays_as_it_is() -> None:
    assert "zhiyin-dialogue" in names("zhiyin")["Service"]
    assert "shop-zhiyin-dialogue" in names("shop")["Service"]
    assert "a-b-dialogue" in names("x", fullnameOverride="a-b")["Service"]


def test_what_belongs_to_no_namespace_is_named_after_it() -> None:
    """Two namespaces may each have a release of one name."""
    one, other = names("zhiyin", "support"), names("zhiyin", "sales")
    for kind in ("PriorityClass", "ClusterRole", "ClusterRoleBinding"):
        assert not one.get(kind, set()) & other.get(kind, set())
    assert one["PriorityClass"]


@pytest.mark.parametrize("value", ["shop_cn", "Shop", "店", "-shop", "a b"])
def test_a_name_that_no_label_may_have_is_refused(value: str) -> None:
    for setting in ("nameOverride", "fullnameOverride"):
        with pytest.raises(CommandFailed, match=setting):
            render({setting: value})


@pytest.mark.parametrize(
    "host",
    ["a.b/sub", "聊天.中国", "Chat.Example.com", "chat.example.com:8443", "https://a.b", "a..b", "-a.b", "a_b.c", ""],
)
def test_a_host_that_no_ingress_may_have_is_refused(host: str) -> None:
    for values in ({"ingress": {"enabled": True, "hosts": [host]}}, {"httpRoute": {"hostnames": [host]}}):
        with pytest.raises(CommandFailed, match=r"hosts|hostnames"):
            render(values)


@pytest.mark.parametrize(
    "host", ["chat.example.com", "*.example.com", "xn--fjq720a.xn--fiqs8s", "localhost", "3.example.com"]
)
def test_other_hosts_are_taken(host: str) -> None:
    chart = render({"ingress": {"enabled": True, "hosts": [host]}})
    assert [rule["host"] for rule in chart.get("Ingress", "dialogue")["spec"]["rules"]] == [host]


def test_no_object_is_named_after_a_value_that_is_not_there() -> None:
    assert not [path for each in render({}).objects for path, value in every(each) if value == "<nil>"]
