"""The variables of each container are the settings that its program reads, and the program accepts them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.business.settings import Settings as BusinessSettings
from services.dialogue.settings import Settings as DialogueSettings
from services.intent.settings import Settings as IntentSettings
from services.login.settings import Settings as LoginSettings
from shared.settings import INSTALLATION, ServiceSettings
from tests.chart.chart import CHART, Object, Rendered, documents, environment, render
from tests.chart.variants import COMPONENTS, EXTERNAL, rendered
from tests.kubernetes import CommandFailed, helm

SETTINGS: dict[str, type[ServiceSettings]] = {
    "login": LoginSettings,
    "dialogue": DialogueSettings,
    "intent": IntentSettings,
    "business": BusinessSettings,
    "worker": BusinessSettings,
}
SECRET = "a-secret-of-more-than-thirty-two-characters"
POD = {
    "status.podIP": "10.9.8.7",
    "metadata.uid": "5f3c0b3e-0000-4000-8000-000000000001",
    "metadata.labels['topology.kubernetes.io/zone']": "a",
}


def variables(chart: Rendered, workload: str) -> dict[str, str]:
    """What the process of a workload sees, with an example in place of what only a cluster knows."""
    container = chart.container(workload)
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= chart.get("ConfigMap", source["configMapRef"]["name"].removeprefix("zhiyin-"))["data"]
    for name, value in environment(container).items():
        found[name] = value if isinstance(value, str) else example(value)
        for other, text in found.items():
            found[name] = found[name].replace(f"$({other})", text)
    return found


def example(source: Object) -> str:
    """A value for a variable that is taken from somewhere."""
    if "secretKeyRef" in source:
        key = source["secretKeyRef"]["key"]
        return {"redis-url": "redis://stores:6379/0"}.get(key, f"postgresql://stores/{key}" if "url" in key else SECRET)
    if "resourceFieldRef" in source:
        return "2"
    return POD[source["fieldRef"]["fieldPath"]]


def accepted(component: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings that the program makes of these variables."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return SETTINGS[component]()


@pytest.mark.parametrize("variant", ["default", "kubernetes registry", "external stores in secrets", "demo"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_program_knows_its_variables(variant: str, component: str) -> None:
    known = {f"ZHIYIN_{field.upper()}" for model in SETTINGS.values() for field in model.model_fields}
    own = {f"ZHIYIN_{field.upper()}" for field in SETTINGS[component].model_fields}
    chart = rendered(variant)
    given = {name for name in environment(chart.container(component)) if name.startswith("ZHIYIN_")}
    assert given <= own
    shared = {name for name in chart.get("ConfigMap", "config")["data"] if name.startswith("ZHIYIN_")}
    assert shared <= known


@pytest.mark.parametrize("component", COMPONENTS)
def test_where_a_program_finds_itself_and_the_others(component: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = accepted(component, variables(rendered("default"), component), monkeypatch)
    assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 8080, 9090)
    assert (settings.advertise_host, settings.instance) == ("10.9.8.7", POD["metadata.uid"])
    assert (settings.registry, settings.consul_url) == ("consul", "http://zhiyin-consul:8500")
    assert settings.kubernetes_service == "http://zhiyin-{name}:80"
    assert settings.environment == "production"
    assert settings.login_url == "http://zhiyin-login:80"
    assert settings.consul_token.get_secret_value() == SECRET
    source = environment(rendered("default").container(component))["ZHIYIN_CONSUL_TOKEN"]
    assert source["secretKeyRef"]["key"] == f"consul-token-{component}"
    assert settings.migrate_on_start is False
    if component in ("login", "dialogue", "business", "worker"):
        database = "business" if component == "worker" else component
        assert settings.database_url.endswith(f"//{database}:{SECRET}@zhiyin-postgresql:5432/{database}")
        assert settings.redis_url == f"redis://{component}:{SECRET}@zhiyin-redis:6379/0"


@pytest.mark.parametrize("component", COMPONENTS)
def test_production_settings_are_accepted(component: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = variables(rendered("default"), component)
    settings = accepted(component, given, monkeypatch)
    assert settings.environment == "production"
    if component == "login":
        assert settings.login_secret.get_secret_value() == SECRET
        assert settings.bootstrap_file == Path("/etc/zhiyin/bootstrap/bootstrap.json")
    if component == "business":
        assert settings.demo is False


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_demo_is_said_aloud(component: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = accepted(component, variables(rendered("values-demo.yaml"), component), monkeypatch)
    assert settings.environment == "development"
    if isinstance(settings, LoginSettings):
        assert settings.customer_of_guests == "C1001"


def test_no_two_releases_of_a_cluster_are_the_same_installation() -> None:
    name = rendered("default").get("ConfigMap", "config")["data"]["ZHIYIN_INSTALLATION"]
    assert re.fullmatch(INSTALLATION, name)
    long = render({"fullnameOverride": "a-very-long-name-for-a-release-of-zhiyin"})
    (config,) = (each for each in long.of("ConfigMap") if each["metadata"]["name"].endswith("-config"))
    other = config["data"]["ZHIYIN_INSTALLATION"]
    assert re.fullmatch(INSTALLATION, other)
    assert other != name
    shown = helm(
        "template", "zhiyin", str(CHART), "--namespace", "elsewhere", "--show-only", "templates/configmap.yaml"
    )
    assert documents(shown)[0]["data"]["ZHIYIN_INSTALLATION"] != name
    given = render({"installation": "shop-a"}).get("ConfigMap", "config")["data"]["ZHIYIN_INSTALLATION"]
    assert given == "shop-a"


def test_an_external_consuls_tokens_come_from_its_secret() -> None:
    chart = render({**EXTERNAL, "externalConsul": {"url": "http://consul:8500", "existingSecret": "acl"}})
    for component in COMPONENTS:
        source = environment(chart.container(component))["ZHIYIN_CONSUL_TOKEN"]
        assert source["secretKeyRef"] == {"name": "acl", "key": f"consul-token-{component}"}
        assert "ZHIYIN_CONSUL_TOKEN" not in environment(rendered("external stores").container(component))


def test_a_program_in_kubernetes_mode_has_nothing_to_do_with_consul() -> None:
    chart = rendered("kubernetes registry")
    for component in COMPONENTS:
        given = variables(chart, component)
        assert given["ZHIYIN_REGISTRY"] == "kubernetes"
        assert not [name for name in given if "CONSUL" in name]
        # A leaving pod is removed from the endpoints through the API server, which takes a moment.
        assert float(given["ZHIYIN_DRAIN_SECONDS"]) >= 5
    assert not [each for each in chart.objects if "consul" in each["metadata"]["name"]]


def test_services_of_kubernetes_mode_are_there() -> None:
    chart = rendered("kubernetes registry")
    template = variables(chart, "dialogue")["ZHIYIN_KUBERNETES_SERVICE"]
    for component in COMPONENTS:
        host, port = template.format(name=component).removeprefix("http://").split(":")
        ports = [each["port"] for each in chart.get("Service", host.removeprefix("zhiyin-"))["spec"]["ports"]]
        assert int(port) in ports


@pytest.mark.parametrize("component", ["dialogue", "intent", "business", "worker"])
def test_callers_have_credentials_of_their_own(component: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chart = rendered("default")
    settings = accepted(component, variables(chart, component), monkeypatch)
    assert settings.client_id == component
    assert settings.client_secret.get_secret_value() == SECRET
    source = environment(chart.container(component))["ZHIYIN_CLIENT_SECRET"]
    assert source["secretKeyRef"]["key"] == f"client-secret-{component}"


def test_login_needs_no_credentials_of_its_own() -> None:
    assert not [name for name in environment(rendered("default").container("login")) if "CLIENT" in name]


@pytest.mark.parametrize("component", COMPONENTS)
def test_external_stores(component: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chart = rendered("external stores")
    given = variables(chart, component)
    settings = accepted(component, given, monkeypatch)
    assert settings.consul_url == "http://consul.example.com:8501"
    addresses = chart.get("Secret", "addresses")["data"]
    source = environment(chart.container(component)).get("ZHIYIN_REDIS_URL")
    if component != "intent":
        assert source is not None
        assert source["secretKeyRef"] == {"name": "zhiyin-addresses", "key": "redis-url"}
        assert "redis-url" in addresses


def test_addresses_with_passwords_are_in_a_secret_only() -> None:
    chart = render(EXTERNAL)
    for each in chart.objects:
        if each["kind"] != "Secret":
            assert ":secret@" not in json.dumps(each), each["metadata"]["name"]
    assert chart.names("StatefulSet") == set()


def test_threads_follow_the_cores_that_are_requested() -> None:
    env = environment(rendered("default").container("intent"))
    assert env["OMP_NUM_THREADS"]["resourceFieldRef"]["resource"] == "requests.cpu"
    assert env["OMP_NUM_THREADS"]["resourceFieldRef"]["containerName"] == "intent"


def test_settings_by_values() -> None:
    chart = render(
        {
            "config": {"ZHIYIN_TENANT": "acme"},
            "logLevel": "warning",
            "components": {"dialogue": {"env": {"ZHIYIN_LEASE_SECONDS": 4}}},
        }
    )
    assert variables(chart, "login")["ZHIYIN_TENANT"] == "acme"
    assert variables(chart, "login")["ZHIYIN_LOG_LEVEL"] == "warning"
    assert variables(chart, "dialogue")["ZHIYIN_LEASE_SECONDS"] == "4"
    assert "ZHIYIN_LEASE_SECONDS" not in variables(chart, "login")


def test_faults_for_drills(monkeypatch: pytest.MonkeyPatch) -> None:
    chart = render({"environment": "development", "faults": {"dialogue.before_commit": 0.5}})
    settings = accepted("dialogue", variables(chart, "dialogue"), monkeypatch)
    assert settings.faults == {"dialogue.before_commit": 0.5}


def test_dialogue_alone_is_told_whom_to_believe_about_addresses() -> None:
    proxies = ["10.42.0.0/16", "fd00::/8"]
    for chart, wanted in ((rendered("default"), []), (render({"trustedProxies": proxies}), proxies)):
        told = {
            component: found["ZHIYIN_TRUSTED_PROXIES"]
            for component in COMPONENTS
            if "ZHIYIN_TRUSTED_PROXIES" in (found := variables(chart, component))
        }
        assert list(told) == ["dialogue"]
        assert json.loads(told["dialogue"]) == wanted


def test_what_is_kept_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    chart = render({"retention": {"conversationDays": 400, "actionDays": 3650}})
    told = {
        component: {name: value for name, value in variables(chart, component).items() if name.endswith("_DAYS")}
        for component in COMPONENTS
    }
    assert told == {component: {} for component in COMPONENTS} | {
        "dialogue": {"ZHIYIN_CONVERSATION_DAYS": "400"},
        "business": {"ZHIYIN_ACTION_DAYS": "3650"},
        "worker": {"ZHIYIN_ACTION_DAYS": "3650"},
    }
    assert accepted("dialogue", variables(chart, "dialogue"), monkeypatch).conversation_days == 400
    assert accepted("business", variables(chart, "business"), monkeypatch).action_days == 3650
    assert not [name for each in COMPONENTS for name in variables(rendered("default"), each) if name.endswith("_DAYS")]


@pytest.mark.parametrize("days", [-1, 1.5, "30", None, 36_501])
def test_what_is_no_number_of_days_is_refused(days: object) -> None:
    with pytest.raises(CommandFailed):
        render({"retention": {"conversationDays": days}})
