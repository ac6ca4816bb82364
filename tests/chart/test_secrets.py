"""Secrets are made, never shipped; they are in Secrets only, and a pod restarts when what it reads has changed."""

import base64
import json
import re
from typing import Any

import pytest
import yaml

from services.login.bootstrap import Seed
from tests.chart.chart import CHART, NAMESPACE, RELEASE, Rendered, documents, every, pod_template, render
from tests.chart.variants import VARIANTS, rendered
from tests.kubernetes import helm

SENSITIVE = re.compile(r"passw|secret|token|credential", re.IGNORECASE)


def secret(chart: Rendered, name: str = "secrets") -> dict[str, str]:
    """What a Secret of the chart holds."""
    data = chart.get("Secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def fresh() -> dict[str, str]:
    """The Secret of one more rendering."""
    shown = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--show-only", "templates/secret.yaml")
    return secret(Rendered(documents(shown)))


def test_every_install_has_secrets_of_its_own() -> None:
    one, two = secret(rendered("default")), fresh()
    assert one.keys() == two.keys()
    assert {"login-secret", "bootstrap.json", "postgresql-password", "redis-password"} <= one.keys()
    for key in one:
        assert one[key] != two[key], key
        assert len(one[key]) >= (20 if key == "admin-password" else 32), key


def test_secrets_within_one_install_differ() -> None:
    values = [value for key, value in secret(rendered("default")).items() if key != "bootstrap.json"]
    assert len(values) == len(set(values))


@pytest.mark.parametrize("variant", ["default", "demo"])
def test_login_accepts_the_first_accounts(variant: str) -> None:
    data = secret(rendered(variant))
    seed = Seed.model_validate_json(data["bootstrap.json"])
    by_name = {each.username: each for each in seed.accounts}
    assert by_name["admin"].roles == ("admin",)
    assert by_name["admin"].password == data["admin-password"]
    clients = {each.client_id: each for each in seed.clients}
    for name in ("dialogue", "intent", "business", "worker"):
        assert clients[name].client_secret == data[f"client-secret-{name}"]
    assert set(clients["dialogue"].scopes) == {
        "intent:predict", "business:lookup", "business:actions", "login:gateway", "learning:read", "learning:report",
    }  # fmt: skip


def test_the_demos_customers_are_in_development_only() -> None:
    named = {
        variant: {each["username"] for each in json.loads(secret(rendered(variant))["bootstrap.json"])["accounts"]}
        for variant in ("default", "demo")
    }
    assert named["demo"] - named["default"] == {"lilei", "hanmeimei"}
    assert named["default"] == {"agent", "operator", "admin"}


def test_an_existing_secret_is_used_for_everything() -> None:
    chart = rendered("existing secret")
    assert chart.names("Secret") == set()
    names = {
        value["name"] if "name" in value else value["secretName"]
        for each in chart.workloads()
        for path, value in every(pod_template(each)["spec"])
        if path.endswith(("secretKeyRef", ".secret")) and isinstance(value, dict)
    }
    assert names == {"mine"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_secret_stands_in_the_open(variant: str) -> None:
    chart = rendered(variant)
    made = {
        base64.b64decode(value).decode()
        for each in chart.of("Secret")
        for key, value in each["data"].items()
        if key != "bootstrap.json"
    }
    for each in chart.objects:
        if each["kind"] == "Secret":
            continue
        text = json.dumps(each)
        assert not [value for value in made if value in text], each["metadata"]["name"]
        for path, value in every(each):
            if path.endswith(".env") and isinstance(value, list):
                for variable in value:
                    if SENSITIVE.search(variable["name"]) and "FILE" not in variable["name"]:
                        assert "valueFrom" in variable, f"{each['metadata']['name']} {variable['name']}"


def test_no_value_of_the_chart_is_a_working_secret() -> None:
    for path, value in every(yaml.safe_load((CHART / "values.yaml").read_text())):
        if isinstance(value, str) and SENSITIVE.search(path.rsplit(".", 1)[-1]):
            assert value in ("", "redis-url", "mlflow-url"), path


def checksums(chart: Rendered, workload: str) -> dict[str, str]:
    """The annotations that change when what a pod reads does."""
    annotations = chart.pod(workload)["metadata"]["annotations"]
    return {key: value for key, value in annotations.items() if key.startswith("checksum/")}


def test_pods_restart_when_their_configuration_changes() -> None:
    fixed = {"secrets": {"existingSecret": "mine"}}
    before, same = render(fixed), render({**fixed, "priorityClasses": {"create": False}})
    after = render({**fixed, "logLevel": "debug"})
    for component in ("login", "dialogue", "intent", "business", "worker"):
        assert {"checksum/config", "checksum/secret"} <= checksums(before, component).keys()
        assert checksums(before, component) == checksums(same, component)
        assert checksums(before, component)["checksum/config"] != checksums(after, component)["checksum/config"]


def test_pods_restart_when_addresses_in_values_change() -> None:
    fixed: dict[str, Any] = {"secrets": {"existingSecret": "mine"}, "redis": {"enabled": False}}
    one = render({**fixed, "externalRedis": {"url": "redis://one:6379/0"}})
    two = render({**fixed, "externalRedis": {"url": "redis://two:6379/0"}})
    assert checksums(one, "dialogue") != checksums(two, "dialogue")


def test_stores_restart_when_their_configuration_changes() -> None:
    fixed = {"secrets": {"existingSecret": "mine"}}
    one, two = render(fixed), render({**fixed, "redis": {"maxMemory": "64mb"}})
    annotations = [
        chart.pod("redis", "StatefulSet")["metadata"]["annotations"]["checksum/config"] for chart in (one, two)
    ]
    assert annotations[0] != annotations[1]


def test_passwords_are_no_arguments_of_stores() -> None:
    for store in ("redis", "postgresql"):
        container = rendered("default").container(store, "StatefulSet")
        references = re.findall(r"\$\((\w+)\)", json.dumps([container.get("command"), container.get("args")]))
        assert references == []


def test_a_kept_database_keeps_its_secret() -> None:
    kept = rendered("kept volumes").get("Secret", "secrets")["metadata"]["annotations"]
    assert kept["helm.sh/resource-policy"] == "keep"
    assert "annotations" not in rendered("default").get("Secret", "secrets")["metadata"]
