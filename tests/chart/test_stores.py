"""The stores that the chart brings, for trying out, and external ones."""

import json

import pytest

from shared.calls.consul_acl import Settings
from tests.chart.chart import environment, every, render
from tests.chart.variants import COMPONENTS, EXTERNAL, rendered
from tests.kubernetes import CommandFailed

STORES = {"redis": 6379, "consul": 8500, "postgresql": 5432}


@pytest.mark.parametrize("store", STORES)
def test_a_store_is_a_stateful_set_with_a_volume(store: str) -> None:
    chart = rendered("default")
    spec = chart.pod(store, "StatefulSet")["spec"]
    claims = [each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "persistentVolumeClaim" in each]
    assert claims == [f"zhiyin-{store}"]
    claim = chart.get("PersistentVolumeClaim", store)
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "storageClassName" not in claim["spec"]
    assert "annotations" not in claim["metadata"]
    assert [each["port"] for each in chart.get("Service", store)["spec"]["ports"]] == [STORES[store]]


@pytest.mark.parametrize("store", STORES)
def test_without_persistence(store: str) -> None:
    chart = rendered("no persistence")
    assert chart.names("PersistentVolumeClaim") == set()
    volumes = {each["name"]: each for each in chart.pod(store, "StatefulSet")["spec"]["volumes"]}
    assert volumes["data"] == {"name": "data", "emptyDir": {}}


@pytest.mark.parametrize("store", STORES)
def test_a_volume_that_outlives_the_release(store: str) -> None:
    claim = rendered("kept volumes").get("PersistentVolumeClaim", store)
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("store", STORES)
def test_size_and_class_of_a_volume(store: str) -> None:
    chart = render(
        {
            "global": {"storageClass": "slow"},
            store: {"persistence": {"size": "9Gi", "storageClass": "fast"}},
        }
    )
    claim = chart.get("PersistentVolumeClaim", store)["spec"]
    assert (claim["resources"]["requests"]["storage"], claim["storageClassName"]) == ("9Gi", "fast")
    other = next(each for each in STORES if each != store)
    assert chart.get("PersistentVolumeClaim", other)["spec"]["storageClassName"] == "slow"


@pytest.mark.parametrize("store", STORES)
def test_scheduling_of_a_store(store: str) -> None:
    chart = render({store: {"nodeSelector": {"disk": "ssd"}, "priorityClassName": "high", "runAsUser": 4242}})
    spec = chart.pod(store, "StatefulSet")["spec"]
    assert (spec["nodeSelector"], spec["priorityClassName"]) == ({"disk": "ssd"}, "high")
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (4242, 4242)


def test_redis_loses_nothing_that_is_queued() -> None:
    config = rendered("default").get("ConfigMap", "redis")["data"]["redis.conf"]
    assert "appendonly yes" in config
    assert "maxmemory-policy noeviction" in config


def test_consuls_own_address_does_not_change_with_its_pod() -> None:
    config = rendered("default").get("ConfigMap", "consul")["data"]["consul.json"]
    assert '"bind_addr": "127.0.0.1"' in config
    assert '"client_addr": "0.0.0.0"' in config


def test_consul_denies_what_no_token_allows_and_its_own_pod_makes_the_tokens() -> None:
    chart = rendered("default")
    config = json.loads(chart.get("ConfigMap", "consul")["data"]["consul.json"])
    assert (config["acl"]["enabled"], config["acl"]["default_policy"]) == (True, "deny")
    consul, keeper = chart.pod("consul", "StatefulSet")["spec"]["containers"]
    assert keeper["command"] == ["python", "-m", "shared.calls.consul_acl"]
    env = environment(keeper)
    assert env["ZHIYIN_CONSUL_URL"] == "http://127.0.0.1:8500"
    for component in COMPONENTS:
        source = env[f"ZHIYIN_CONSUL_TOKENS__{component.upper()}"]
        assert source == environment(chart.container(component))["ZHIYIN_CONSUL_TOKEN"]
    management = {"name": "zhiyin-secrets", "key": "consul-management-token"}
    assert env["ZHIYIN_CONSUL_MANAGEMENT_TOKEN"]["secretKeyRef"] == management
    assert environment(consul)["MANAGEMENT_TOKEN"]["secretKeyRef"] == management
    for component in COMPONENTS:
        assert management not in [each for _, each in every(chart.pod(component))], component


def test_the_keeper_of_the_tokens_accepts_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = rendered("default").pod("consul", "StatefulSet")["spec"]["containers"][1]
    for name, value in environment(keeper).items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "5f3c0b3e-0000-4000-8000-000000000001")
    monkeypatch.delenv("ZHIYIN_ENVIRONMENT", raising=False)
    settings = Settings()
    assert settings.environment == "production"
    assert settings.consul_tokens.keys() == set(COMPONENTS)
    assert settings.installation == rendered("default").get("ConfigMap", "config")["data"]["ZHIYIN_INSTALLATION"]


@pytest.mark.parametrize("store", STORES)
def test_an_external_store_leaves_nothing_behind(store: str) -> None:
    chart = rendered("external stores")
    assert not [each for each in chart.objects if each["metadata"]["name"] == f"zhiyin-{store}"]


def test_external_stores_in_secrets() -> None:
    chart = rendered("external stores in secrets")
    assert "zhiyin-addresses" not in chart.names("Secret")
    for component in ("login", "dialogue", "business"):
        env = environment(chart.container(component))
        assert env["ZHIYIN_REDIS_URL"]["secretKeyRef"] == {"name": "stores", "key": "redis-url"}
        assert env["ZHIYIN_DATABASE_URL"]["secretKeyRef"] == {"name": "stores", "key": f"{component}-url"}


@pytest.mark.parametrize("store", ["redis", "postgresql", "consul"])
def test_a_store_that_is_nowhere_is_refused(store: str) -> None:
    external = {key: value for key, value in EXTERNAL.items() if key != f"external{store.capitalize()}"}
    with pytest.raises(CommandFailed, match=f"external{store.capitalize()}"):
        render(external)


def test_a_database_that_is_missing_is_refused() -> None:
    external = {**EXTERNAL, "externalPostgresql": {"login": {"url": "postgresql://db/login"}}}
    with pytest.raises(CommandFailed, match=r"externalPostgresql\.(dialogue|business)"):
        render(external)


@pytest.mark.parametrize(
    ("mlflow", "uri"),
    [
        ({"url": "https://mlflow.example.com"}, "https://mlflow.example.com"),
        ({"existingSecret": "tracking"}, {"secretKeyRef": {"name": "tracking", "key": "mlflow-url"}}),
        (
            {"existingSecret": "tracking", "existingSecretKey": "url"},
            {"secretKeyRef": {"name": "tracking", "key": "url"}},
        ),
    ],
)
def test_models_come_from_a_registry_into_a_home_that_can_be_written_to(mlflow: dict[str, str], uri: object) -> None:
    chart = render({"externalMlflow": mlflow})
    spec = chart.pod("intent")["spec"]
    [container] = spec["containers"]
    found = environment(container)
    assert (found["ZHIYIN_MLFLOW_URI"], found["ZHIYIN_HOME"]) == (uri, "/var/lib/zhiyin")
    assert {"name": "models", "mountPath": "/var/lib/zhiyin"} in container["volumeMounts"]
    assert {"name": "models", "emptyDir": {}} in spec["volumes"]
    [other] = chart.pod("dialogue")["spec"]["containers"]
    assert "ZHIYIN_MLFLOW_URI" not in environment(other)


def test_without_a_registry_the_models_are_those_of_the_image() -> None:
    [container] = rendered("default").pod("intent")["spec"]["containers"]
    assert environment(container).keys().isdisjoint({"ZHIYIN_MLFLOW_URI", "ZHIYIN_HOME"})
