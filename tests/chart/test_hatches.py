"""What users of charts expect to be able to change without changing the chart."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.chart.chart import environment, pod_template, render
from tests.chart.variants import COMPONENTS, HATCHES, rendered
from tests.kubernetes import CommandFailed


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_has_every_hatch(component: str) -> None:
    chart = rendered("hatches")
    deployment = chart.get("Deployment", component)
    template = chart.pod(component)
    spec = template["spec"]
    container = chart.container(component)
    env = environment(container)
    assert env["ZHIYIN_LOG_LEVEL"] == "debug"
    assert env["EXTRA_NUMBER"] == "7"
    assert HATCHES["extraEnv"][0] in container["env"]
    assert HATCHES["extraEnvFrom"][0] in container["envFrom"]
    assert HATCHES["extraVolumes"][0] in spec["volumes"]
    assert HATCHES["extraVolumeMounts"][0] in container["volumeMounts"]
    assert spec["tolerations"] == HATCHES["tolerations"]
    for name in ("nodeSelector", "affinity", "topologySpreadConstraints", "priorityClassName", "runtimeClassName"):
        assert spec[name] == HATCHES[name], name
    assert spec["terminationGracePeriodSeconds"] == 99
    assert template["metadata"]["annotations"]["example.com/team"] == "support"
    assert template["metadata"]["labels"]["team"] == "support"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert chart.get("Service", component)["metadata"]["annotations"] == {"example.com/owner": "support"}
    account = chart.get("ServiceAccount", component)
    assert account["metadata"]["annotations"] == {"example.com/role": "chat"}


def test_labels_of_ones_own_do_not_change_selectors() -> None:
    before, after = (rendered(each).get("Deployment", "login")["spec"]["selector"] for each in ("default", "hatches"))
    assert before == after


def test_what_is_set_for_one_component_is_set_for_no_other() -> None:
    fixed = {"secrets": {"existingSecret": "mine"}}
    before, after = render(fixed), render({**fixed, "components": {"login": HATCHES}})
    assert after.pod("login")["spec"]["priorityClassName"] == "important"
    for component in set(COMPONENTS) - {"login"}:
        assert after.get("Deployment", component) == before.get("Deployment", component)


def test_containers_beside_and_before() -> None:
    sidecar = {"name": "proxy", "image": "example.com/proxy:1"}
    init = {"name": "wait", "image": "example.com/wait:1"}
    spec = render({"components": {"intent": {"sidecars": [sidecar], "initContainers": [init]}}}).pod("intent")["spec"]
    assert spec["containers"][0]["name"] == "intent"
    assert sidecar in spec["containers"]
    assert init in spec["initContainers"]


def test_extra_variables_win_over_the_charts() -> None:
    source = {"secretKeyRef": {"name": "vault", "key": "redis"}}
    chart = render({"components": {"dialogue": {"extraEnv": [{"name": "ZHIYIN_REDIS_URL", "valueFrom": source}]}}})
    container = chart.container("dialogue")
    assert [each["name"] for each in container["env"]].count("ZHIYIN_REDIS_URL") == 1
    assert environment(container)["ZHIYIN_REDIS_URL"] == source


def test_a_variable_that_refers_to_another_stands_behind_it() -> None:
    """Kubernetes fills in `$(NAME)` only from variables that stand earlier in the list."""
    for component in COMPONENTS:
        seen: set[str] = set()
        for each in rendered("default").container(component)["env"]:
            for name in ("REDIS_PASSWORD", "POSTGRESQL_PASSWORD"):
                if f"$({name})" in str(each.get("value", "")):
                    assert name in seen, f"{component} {each['name']}"
            seen.add(each["name"])


def test_extra_objects_as_maps_and_as_templates() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "zhiyin-extra", "namespace": "support"}}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-templated\n  namespace: support\n"
    chart = render({"extraDeploy": [config, text]})
    assert {"zhiyin-extra", "zhiyin-templated"} <= chart.names("ConfigMap")


@pytest.mark.parametrize("component", COMPONENTS)
def test_live_reload_runs_a_copy_that_can_be_written_to(component: str) -> None:
    chart = render({"liveReload": True})
    container = chart.container(component)
    (copy,) = chart.pod(component)["spec"]["initContainers"]
    assert copy["image"] == container["image"]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert {"name": mounts["/app"], "emptyDir": {}} in chart.pod(component)["spec"]["volumes"]
    assert copy["volumeMounts"] == [{"name": mounts["/app"], "mountPath": "/copy"}]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "livenessProbe" in container


def test_a_reloading_component_starts_again_and_ends_on_demand() -> None:
    """The chart's own command, with a program in place of the service that counts its starts."""
    command = render({"liveReload": True}).container("login")["command"]
    script = command[-1].replace("python -m shared.http login", "{ echo started; exec sleep 60; }")
    script = script.replace("sleep 1;", "sleep 0.01;").replace("/tmp/program", "$FOLDER/program")
    assert command[:2] == ["sh", "-c"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, env={**os.environ, "FOLDER": folder}) as shell,
    ):
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"started\n"
        noted = Path(folder, "program")
        ended = f"until [ -s {noted} ]; do :; done; kill $(cat {noted})"
        subprocess.run(["sh", "-c", ended], check=True, timeout=10)
        assert shell.stdout.readline() == b"started\n"
        shell.terminate()
        shell.wait(timeout=10)


def test_a_service_account_that_is_there_already() -> None:
    chart = render({"components": {"login": {"serviceAccount": {"create": False, "name": "mine"}}}})
    assert chart.pod("login")["spec"]["serviceAccountName"] == "mine"
    assert "zhiyin-login" not in chart.names("ServiceAccount")


def test_a_component_that_is_switched_off_leaves_nothing() -> None:
    chart = rendered("one component less")
    assert not [each for each in chart.objects if each["metadata"]["name"] == "zhiyin-worker"]


def test_names_of_ones_own() -> None:
    chart = rendered("own names")
    assert chart.names("Deployment") == {f"zhiyin-{each}" for each in COMPONENTS}
    assert chart.get("Deployment", "login")["metadata"]["labels"]["app.kubernetes.io/name"] == "chat"


def test_openshift_gives_the_ids_itself() -> None:
    """Its restricted constraints refuse a pod that names a user or a group."""
    chart = render({"openshift": True, "learning": {"enabled": True}})
    for each in chart.workloads():
        spec = pod_template(each)["spec"]
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & spec["securityContext"].keys(), each["metadata"]["name"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert "runAsUser" not in container["securityContext"]


def test_security_contexts_of_ones_own_win() -> None:
    chart = render(
        {
            "podSecurityContext": {"runAsUser": 2000, "supplementalGroups": [5]},
            "securityContext": {"seLinuxOptions": {"level": "s0"}, "readOnlyRootFilesystem": False},
        }
    )
    for each in chart.workloads():
        spec = pod_template(each)["spec"]
        assert spec["securityContext"]["runAsUser"] == 2000
        assert spec["securityContext"]["supplementalGroups"] == [5]
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"]["seLinuxOptions"] == {"level": "s0"}
            assert container["securityContext"]["readOnlyRootFilesystem"] is False
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_probes_of_ones_own() -> None:
    probes = {"liveness": {"timeoutSeconds": 20}, "startup": {"periodSeconds": 5}, "readiness": {"failureThreshold": 9}}
    chart = render({"components": {"intent": {"probes": probes, "startupSeconds": 100}}})
    container = chart.container("intent")
    assert (container["livenessProbe"]["timeoutSeconds"], container["livenessProbe"]["periodSeconds"]) == (20, 10)
    assert (container["startupProbe"]["periodSeconds"], container["startupProbe"]["failureThreshold"]) == (5, 20)
    assert container["readinessProbe"]["failureThreshold"] == 9
    assert chart.container("login")["livenessProbe"]["timeoutSeconds"] == 5


def test_paths_of_others_beside_the_chats() -> None:
    other = {
        "path": "/shop",
        "pathType": "Prefix",
        "backend": {"service": {"name": "shop", "port": {"number": 80}}},
    }
    chart = render({"ingress": {"enabled": True, "path": "/help", "extraPaths": [other]}})
    (rule,) = chart.get("Ingress", "dialogue")["spec"]["rules"]
    assert [each["path"] for each in rule["http"]["paths"]] == ["/shop", "/help"]
    assert rule["http"]["paths"][0] == other
    assert environment(chart.container("dialogue"))["ZHIYIN_ROOT_PATH"] == "/help"
    assert "ZHIYIN_ROOT_PATH" not in environment(chart.container("login"))
    assert "ZHIYIN_ROOT_PATH" not in environment(rendered("add-ons").container("dialogue"))


@pytest.mark.parametrize("path", ["", "help", "/help/", "/a//b", "/a b", "/../x", "/聊"])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(CommandFailed, match="ingress/path"):
        render({"ingress": {"enabled": True, "path": path}})
