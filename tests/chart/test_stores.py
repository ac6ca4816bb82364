"""The stores that the chart brings, for trying out, and external ones."""

import json
import re

import pytest

from shared.calls.consul_acl import Settings
from tests.chart.chart import Object, environment, every, render
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


SERVICES = ("login", "dialogue", "business")
REDIS_USERS = ("login", "dialogue", "business", "worker", "keda")
REDIS = ("login", "dialogue", "business", "worker")
PASSWORD = re.compile(r"^(postgresql|redis)-password")


def passwords(pod: Object) -> set[str]:
    """Keys of the Secret with passwords of stores that a pod reads, as variables and as files."""
    found = {value["key"] for _, value in every(pod) if isinstance(value, dict) and isinstance(value.get("key"), str)}
    return {key for key in found if PASSWORD.match(key)}


def test_a_service_has_its_own_passwords_and_no_other() -> None:
    chart = rendered("default")
    found = {component: passwords(chart.pod(component)) for component in COMPONENTS}
    assert found == {
        "login": {"postgresql-password-login", "redis-password-login"},
        "dialogue": {"postgresql-password-dialogue", "redis-password-dialogue"},
        "intent": set(),
        "business": {"postgresql-password-business", "redis-password-business"},
        "worker": {"postgresql-password-business", "redis-password-worker"},
    }
    assert passwords(chart.pod("migrations", "Job")) == {f"postgresql-password-{name}" for name in SERVICES}


def test_redis_has_a_user_a_service() -> None:
    chart = rendered("default")
    container = chart.container("redis", "StatefulSet")
    files = chart.get("ConfigMap", "redis")["data"]
    users = [line.split()[0] for line in files["users.acl"].splitlines() if not line.startswith("#")]
    assert sorted(users) == sorted(["admin", *REDIS_USERS])
    assert container["command"] == ["sh", "/etc/redis/start.sh"]
    env = environment(container)
    assert env["INSTALLATION"] == chart.get("ConfigMap", "config")["data"]["ZHIYIN_INSTALLATION"]
    assert mounted(chart.pod("redis", "StatefulSet"), container, env["PASSWORD_FILES"]) == {
        "admin": "redis-password", **{user: f"redis-password-{user}" for user in REDIS_USERS},
    }  # fmt: skip
    given = render({"config": {"ZHIYIN_INSTALLATION": "mine"}}).container("redis", "StatefulSet")
    assert environment(given)["INSTALLATION"] == "mine"


def mounted(pod: Object, container: Object, path: str) -> dict[str, str]:
    """The files that a container sees of a Secret, and the keys that they are of."""
    (name,) = {each["name"] for each in container["volumeMounts"] if each["mountPath"] == path}
    (volume,) = [each["secret"] for each in pod["spec"]["volumes"] if each["name"] == name]
    assert volume["secretName"] == "zhiyin-secrets"
    return {each["path"]: each["key"] for each in volume["items"]}


def test_beside_postgresql_its_roles_are_made_before_it_is_ready() -> None:
    chart = rendered("default")
    pod = chart.pod("postgresql", "StatefulSet")
    database, keeper = pod["spec"]["containers"]
    assert keeper["image"] == database["image"]
    assert keeper["command"] == ["sh", "/etc/postgresql-roles/roles.sh", "keep"]
    env = environment(keeper)
    assert env["PGUSER"] == environment(database)["POSTGRES_USER"]
    assert f"unix_socket_directories={env['PGHOST']}" in database["command"][-1]
    sockets = [
        [
            (each["name"], each.get("subPath"))
            for each in container["volumeMounts"]
            if each["mountPath"] == env["PGHOST"]
        ]
        for container in (database, keeper)
    ]
    assert sockets[0] == sockets[1]
    assert mounted(pod, keeper, env["PASSWORD_FILES"]) == {
        "superuser": "postgresql-password", **{name: f"postgresql-password-{name}" for name in SERVICES},
    }  # fmt: skip
    # Without a probe of its readiness a container is ready when it has started.
    assert keeper["startupProbe"]["exec"]["command"] == ["test", "-e", "/tmp/roles-made"]
    assert "readinessProbe" not in keeper
    assert keeper["startupProbe"]["periodSeconds"] == 1


def test_external_redis_with_a_user_a_service() -> None:
    own = {"dialogue": {"url": "rediss://dialogue:one@redis.example.com:6380/0"}}
    chart = render({"redis": {"enabled": False}, "externalRedis": {"url": "redis://r:6379/0", **own}})
    keys = {name: environment(chart.container(name))["ZHIYIN_REDIS_URL"]["secretKeyRef"]["key"] for name in SERVICES}
    assert keys == {"login": "redis-url", "dialogue": "redis-url-dialogue", "business": "redis-url"}
    assert {"redis-url", "redis-url-dialogue"} <= chart.get("Secret", "addresses")["data"].keys()
    names = {name: {"existingSecretKey": f"redis-url-{name}"} for name in ("login", "worker")}
    chart = render({"redis": {"enabled": False}, "externalRedis": {"existingSecret": "stores", **names}})
    keys = {name: environment(chart.container(name))["ZHIYIN_REDIS_URL"]["secretKeyRef"]["key"] for name in REDIS}
    assert keys == {
        "login": "redis-url-login", "dialogue": "redis-url", "business": "redis-url", "worker": "redis-url-worker",
    }  # fmt: skip


def test_external_redis_for_some_services_only_is_refused() -> None:
    every_one = {name: {"url": f"redis://{name}@r:6379/0"} for name in REDIS}
    render({"redis": {"enabled": False}, "externalRedis": every_one})
    with pytest.raises(CommandFailed, match=r"externalRedis\.worker\.url"):
        render({"redis": {"enabled": False}, "externalRedis": {**every_one, "worker": {"url": ""}}})


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
