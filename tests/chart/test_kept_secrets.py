"""What an upgrade does with the Secret that is in the cluster: it stays, and what depends on it follows."""

import base64
import functools
import json
import re
from typing import Any

import pytest

from tests.chart.api_server import render_for
from tests.chart.chart import Rendered
from tests.chart.variants import COMPONENTS
from tests.kubernetes import CommandFailed

Data = dict[str, str]


def encoded(data: Data) -> Data:
    """As a Secret holds it."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def against(data: Data | None, *arguments: str, name: str = "zhiyin-secrets") -> Rendered:
    """The chart as it is rendered for a cluster with a Secret, or without it."""
    secret = {"kind": "Secret", "metadata": {"name": name}, "data": encoded(data or {})}
    return render_for([] if data is None else [secret], *arguments)


def kept(chart: Rendered) -> Data:
    """What the chart's Secret holds."""
    data = chart.get("Secret", "secrets")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@functools.cache
def installed() -> str:
    """The Secret of a first install, as JSON."""
    return json.dumps(kept(against(None)))


@pytest.fixture
def first() -> Data:
    """The Secret of a first install."""
    data: Data = json.loads(installed())
    return data


def accounts(data: Data) -> dict[str, Any]:
    """Accounts of the file for login, by name."""
    return {each["username"]: each for each in json.loads(data["bootstrap.json"])["accounts"]}


def checksums(chart: Rendered) -> dict[str, str]:
    """What restarts each component's pods when its secrets change."""
    return {each: chart.pod(each)["metadata"]["annotations"]["checksum/secret"] for each in COMPONENTS}


def test_an_upgrade_changes_nothing(first: Data) -> None:
    assert kept(against(first, "--is-upgrade")) == first


def test_a_key_that_came_with_a_newer_chart_is_added(first: Data) -> None:
    older = {key: value for key, value in first.items() if key != "redis-password"}
    newer = kept(against(older, "--is-upgrade"))
    assert newer["redis-password"]
    assert {key: newer[key] for key in older} == older


def test_keys_and_accounts_of_ones_own_stay(first: Data) -> None:
    seed = json.loads(first["bootstrap.json"])
    seed["accounts"].append({"username": "boss", "password": "a long pass phrase", "roles": ["operator"]})
    newer = kept(against({**first, "mine": "1", "bootstrap.json": json.dumps(seed)}, "--is-upgrade"))
    assert newer["mine"] == "1"
    assert accounts(newer)["boss"]["password"] == "a long pass phrase"
    assert accounts(newer)["admin"] == accounts(first)["admin"]


def test_a_file_of_accounts_that_was_taken_away_is_made_anew(first: Data) -> None:
    older = {key: value for key, value in first.items() if key != "bootstrap.json"}
    newer = kept(against(older, "--is-upgrade"))
    assert accounts(newer).keys() == accounts(first).keys()
    for name, account in accounts(newer).items():
        assert account["password"] != accounts(first)[name]["password"]
    assert newer["admin-password"] == accounts(newer)["admin"]["password"]
    assert {key: newer[key] for key in older if key != "admin-password"} == {
        key: older[key] for key in older if key != "admin-password"
    }


def test_the_services_credentials_follow_their_secret(first: Data) -> None:
    newer = kept(against({**first, "client-secret-dialogue": "another-secret-of-32-characters-!"}, "--is-upgrade"))
    clients = {each["client_id"]: each["client_secret"] for each in json.loads(newer["bootstrap.json"])["clients"]}
    assert clients["dialogue"] == "another-secret-of-32-characters-!"
    assert clients["business"] == first["client-secret-business"]


@functools.cache
def unchanged() -> str:
    """The checksums with the Secret of a first install, as JSON."""
    return json.dumps(checksums(against(json.loads(installed()))))


def restarted(data: Data) -> set[str]:
    """Components whose pods restart when the Secret is this."""
    before, after = json.loads(unchanged()), checksums(against(data))
    return {each for each in COMPONENTS if before[each] != after[each]}


def test_pods_do_not_restart_without_a_reason(first: Data) -> None:
    assert restarted(first) == set()


@pytest.mark.parametrize(
    ("key", "readers"),
    [
        ("login-secret", {"login"}),
        ("login-secret-accepted", {"login"}),
        ("client-secret-business", {"business", "login"}),
        ("redis-password-login", {"login"}),
        ("redis-password-worker", {"worker"}),
        ("postgresql-password-dialogue", {"dialogue"}),
        ("postgresql-password-business", {"business", "worker"}),
        ("redis-password", set[str]()),
        ("postgresql-password", set[str]()),
    ],
)
def test_pods_restart_when_a_secret_that_they_read_changes(key: str, readers: set[str], first: Data) -> None:
    assert restarted({**first, key: "another-secret-of-32-characters-!"}) == readers


def test_stores_follow_their_passwords(first: Data) -> None:
    """Redis reads them when it starts; what is beside PostgreSQL reads them again and again."""

    def annotations(data: Data, store: str) -> Any:
        return against(data).pod(store, "StatefulSet")["metadata"]["annotations"]

    changed = {**first, "redis-password-login": "x" * 40, "postgresql-password-login": "x" * 40}
    assert annotations(changed, "redis") != annotations(first, "redis")
    assert annotations(changed, "postgresql") == annotations(first, "postgresql")


OLDER = re.compile(r"^(postgresql|redis)-password-.+$")
"""Keys that a chart did not have whose services shared a password."""


def test_an_older_charts_secret_gets_a_password_a_service_which_the_migrations_have_as_well(first: Data) -> None:
    older = {key: value for key, value in first.items() if not OLDER.match(key)}
    chart = against(older, "--is-upgrade")
    newer = kept(chart)
    assert {key: newer[key] for key in older} == older
    before = {key: base64.b64decode(value).decode() for key, value in hook_secret(chart)["data"].items()}
    services = ("login", "dialogue", "business")
    assert before.keys() == {"postgresql-password", *(f"postgresql-password-{name}" for name in services)}
    assert before.items() <= newer.items()
    assert len(set(before.values())) == len(before)


def hook_secret(chart: Rendered) -> Any:
    """The Secret of what runs before an upgrade."""
    return chart.get("Secret", "migrations-upgrade")


@pytest.mark.parametrize("missing", ["postgresql-password-login", "postgresql-password", "redis-password-keda"])
def test_a_secret_of_ones_own_without_a_key_is_refused_before_pods_wait_for_it(missing: str, first: Data) -> None:
    given = {key: value for key, value in first.items() if key != missing}
    with pytest.raises(CommandFailed, match=f"mine of secrets.existingSecret has no key {missing};"):
        against(given, "--set", "secrets.existingSecret=mine", name="mine")
    own = "redis.enabled=false,externalRedis.existingSecret=r"
    own += ",postgresql.enabled=false,externalPostgresql.existingSecret=p"
    against(given, "--set", f"secrets.existingSecret=mine,{own}", name="mine")


def test_pods_follow_a_secret_of_ones_own(first: Data) -> None:
    given = ("--set", "secrets.existingSecret=mine")
    before = checksums(against(first, *given, name="mine"))
    after = checksums(against({**first, "login-secret": "x" * 40}, *given, name="mine"))
    assert {each for each in COMPONENTS if before[each] != after[each]} == {"login"}


STORES = (
    "--set=redis.enabled=false,externalRedis.existingSecret=stores",
    "--set=postgresql.enabled=false,externalPostgresql.existingSecret=stores",
    "--set=externalMlflow.existingSecret=stores",
)


@pytest.mark.parametrize(
    ("key", "readers"),
    [
        ("redis-url", {"login", "dialogue", "business", "worker"}),
        ("login-url", {"login"}),
        ("dialogue-url", {"dialogue"}),
        ("business-url", {"business", "worker"}),
        ("mlflow-url", {"intent"}),
        ("another", set[str]()),
    ],
)
def test_pods_follow_the_address_of_a_store_of_ones_own(key: str, readers: set[str]) -> None:
    urls = {f"{each}-url": f"postgresql://{each}" for each in ("login", "dialogue", "business")}
    stores = {**urls, "redis-url": "redis://a", "mlflow-url": "http://a"}
    before = against(stores, *STORES, name="stores")
    after = against({**stores, key: "changed"}, *STORES, name="stores")
    assert followed(before, after) == readers


def followed(before: Rendered, after: Rendered) -> set[str]:
    """Components whose pods restart because of a Secret with addresses of ones own."""
    checksums = [
        {each: chart.pod(each)["metadata"]["annotations"]["checksum/stores"] for each in COMPONENTS}
        for chart in (before, after)
    ]
    return {each for each in COMPONENTS if checksums[0][each] != checksums[1][each]}


def test_a_pod_follows_the_address_that_is_its_own() -> None:
    given = (*STORES, "--set=externalRedis.worker.existingSecretKey=redis-url-worker")
    before = against({"redis-url": "redis://a", "redis-url-worker": "redis://b"}, *given, name="stores")
    after = against({"redis-url": "redis://a", "redis-url-worker": "redis://c"}, *given, name="stores")
    assert followed(before, after) == {"worker"}
