"""Who brings the databases to the newest revision, and when."""

import pytest

from shared.storage.migrations import services_with_tables
from tests.chart.api_server import render_for
from tests.chart.chart import Object, environment, render
from tests.chart.variants import EXTERNAL, rendered

HOOK = "helm.sh/hook"


def test_a_first_install_migrates_beside_the_database_it_brings() -> None:
    metadata = rendered("default").get("Job", "migrations")["metadata"]
    assert "annotations" not in metadata


def test_an_upgrade_migrates_before_anything_is_replaced() -> None:
    chart = rendered("upgrade")
    (found,) = chart.of("Job")
    annotations = found["metadata"]["annotations"]
    assert annotations[HOOK] == "pre-upgrade"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert int(annotations["helm.sh/hook-weight"]) < 0
    # Its name is another, so that it never meets what the install left.
    assert found["metadata"]["name"] != rendered("default").of("Job")[0]["metadata"]["name"]


def test_before_an_upgrade_roles_are_made_for_a_database_that_an_older_chart_runs() -> None:
    chart = rendered("upgrade")
    (found,) = chart.of("Job")
    spec = found["spec"]["template"]["spec"]
    (roles,) = spec["initContainers"]
    assert roles["image"] == chart.container("postgresql", "StatefulSet")["image"]
    assert roles["command"] == ["sh", "/etc/postgresql-roles/roles.sh"]
    assert environment(roles)["PGHOST"] == "zhiyin-postgresql"
    volumes = {each["name"]: each for each in spec["volumes"]}
    weight = int(found["metadata"]["annotations"]["helm.sh/hook-weight"])
    for kind, name in (
        ("ConfigMap", volumes["roles"]["configMap"]["name"]),
        ("Secret", volumes["passwords"]["secret"]["secretName"]),
    ):
        first = chart.get(kind, name.removeprefix("zhiyin-"))
        assert int(first["metadata"]["annotations"]["helm.sh/hook-weight"]) < weight
    scripts, same = (chart.get("ConfigMap", name)["data"] for name in ("migrations-upgrade", "postgresql"))
    assert {name: text.rstrip() for name, text in scripts.items()} == {
        name: text.rstrip() for name, text in same.items()
    }
    # At an install the database makes them itself before it is ready, and an external one has its own.
    assert "initContainers" not in rendered("default").get("Job", "migrations")["spec"]["template"]["spec"]
    assert "initContainers" not in render(EXTERNAL, upgrade=True).of("Job")[0]["spec"]["template"]["spec"]


def test_a_hook_needs_nothing_that_the_upgrade_brings() -> None:
    """What a pre-upgrade hook reads is there before: from the install, or as a hook that goes first."""
    chart = render(EXTERNAL, upgrade=True)
    (found,) = chart.of("Job")
    hooks = {
        each["metadata"]["name"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
        for each in chart.objects
        if HOOK in each["metadata"].get("annotations", {}) and each["kind"] == "Secret"
    }
    for container in found["spec"]["template"]["spec"]["containers"]:
        source = environment(container)["ZHIYIN_DATABASE_URL"]["secretKeyRef"]["name"]
        assert hooks[source] < int(found["metadata"]["annotations"]["helm.sh/hook-weight"])


@pytest.mark.parametrize(
    ("ready", "values", "hook"),
    [
        (1, (), True),
        (0, (), False),
        (None, (), False),
        (0, ("--set", "postgresql.enabled=false,externalPostgresql.existingSecret=stores"), True),
    ],
)
def test_no_hook_waits_for_a_database_that_only_the_upgrade_brings(
    ready: int | None, values: tuple[str, ...], hook: bool
) -> None:
    """As after an install that failed, or when the database moves into the chart."""
    cluster: list[Object] = [{"kind": "ConfigMap", "metadata": {"name": "zhiyin-config"}}]
    if ready is not None:
        status = {"readyReplicas": ready} if ready else {}
        cluster.append({"kind": "StatefulSet", "metadata": {"name": "zhiyin-postgresql"}, "status": status})
    (found,) = render_for(cluster, "--is-upgrade", *values).of("Job")
    assert (HOOK in found["metadata"].get("annotations", {})) is hook


def test_another_version_is_another_job_for_tools_that_apply_what_they_render() -> None:
    """A Job's pods cannot be changed: applying another template under its name is refused."""
    templates: dict[str, Object] = {}
    for values in (
        {},
        {"image": {"tag": "9.9"}},
        {"commonLabels": {"team": "chat"}},
        {"migrations": {"waitSeconds": 9}},
    ):
        for each in render({**values, "learning": {"enabled": True}}).of("Job"):
            name, template = each["metadata"]["name"], each["spec"]["template"]
            assert templates.setdefault(name, template) == template
    assert len(templates) == 4 + 3, "training does not depend on how long migrations wait"
    assert render({}).names("Job") == render({"components": {"login": {"replicas": 3}}}).names("Job")


def test_an_upgrade_that_cannot_migrate_comes_to_an_end() -> None:
    """As when the image's tag does not exist: the pod waits for ever, and helm with it."""
    for upgrade in (False, True):
        (found,) = render({"migrations": {"deadlineSeconds": 77}}, upgrade=upgrade).of("Job")
        assert found["spec"]["activeDeadlineSeconds"] == 77
    default = rendered("upgrade").of("Job")[0]["spec"]
    assert default["activeDeadlineSeconds"] > 300


@pytest.mark.parametrize("variant", ["default", "upgrade"])
def test_every_database_is_migrated(variant: str) -> None:
    (found,) = rendered(variant).of("Job")
    spec = found["spec"]["template"]["spec"]
    commands = {each["name"]: each["command"] for each in spec["containers"]}
    # Learning runs on one machine so far; the chart has its trainings as a Job, and no database of it.
    names = set(services_with_tables()) - {"learning"}
    assert commands == {name: ["python", "-m", "shared.storage.migrations", name] for name in names}
    assert spec["restartPolicy"] == "Never"
    assert found["spec"]["backoffLimit"] >= 1
    assert found["spec"]["ttlSecondsAfterFinished"] > 0


def test_services_leave_it_to_the_job() -> None:
    assert rendered("default").get("ConfigMap", "config")["data"]["ZHIYIN_MIGRATE_ON_START"] == "false"
    chart = rendered("no migrations")
    assert chart.of("Job") == []
    assert chart.get("ConfigMap", "config")["data"]["ZHIYIN_MIGRATE_ON_START"] == "true"


def test_it_waits_for_the_database() -> None:
    chart = render({"migrations": {"waitSeconds": 77}})
    for container in chart.get("Job", "migrations")["spec"]["template"]["spec"]["containers"]:
        assert environment(container)["ZHIYIN_DATABASE_WAIT_SECONDS"] == "77"


def test_it_can_be_given_the_certificate_of_an_authority() -> None:
    volume = {"name": "ca", "configMap": {"name": "ca"}}
    mount = {"name": "ca", "mountPath": "/etc/ca", "readOnly": True}
    chart = render({**EXTERNAL, "migrations": {"extraVolumes": [volume], "extraVolumeMounts": [mount]}})
    spec = chart.get("Job", "migrations")["spec"]["template"]["spec"]
    assert volume in spec["volumes"]
    for container in spec["containers"]:
        assert mount in container["volumeMounts"]


def test_its_pods_are_allowed_to_reach_the_database() -> None:
    chart = rendered("upgrade")
    (found,) = chart.of("Job")
    labels = found["spec"]["template"]["metadata"]["labels"]
    selectors = [
        each["spec"]["podSelector"]["matchLabels"]
        for each in chart.of("NetworkPolicy")
        if each["metadata"]["name"] == "zhiyin-migrations-to-postgresql"
    ]
    assert selectors
    assert all(selector.items() <= labels.items() for selector in selectors)
