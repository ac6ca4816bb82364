"""What holds for every object of the chart, whatever the values."""

import re
from collections import Counter

import pytest

from tests.chart.api import NEWEST, OLDEST, TEST_CLUSTER, violations
from tests.chart.chart import CHART, NAMESPACE, RELEASE, Object, every, pod_template
from tests.chart.variants import DOCUMENTED, VARIANTS, existing_secrets, rendered
from tests.kubernetes import helm

CLUSTER_WIDE = {"PriorityClass"}
VERSION_LABELS = {"app.kubernetes.io/version", "helm.sh/chart"}


@pytest.mark.parametrize("values", ["", *DOCUMENTED])
def test_lint(values: str) -> None:
    chosen = ["--values", str(CHART / values)] if values else []
    helm("lint", "--strict", str(CHART), *chosen)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("variant", VARIANTS)
def test_api_servers_take_every_object(variant: str, version: str) -> None:
    refused = {name(each): found for each in rendered(variant).objects if (found := violations(each, version))}
    assert refused == {}


@pytest.mark.parametrize("variant", ["default", "upgrade"])
def test_the_test_clusters_api_takes_the_default_objects(variant: str) -> None:
    refused = {name(each): found for each in rendered(variant).objects if (found := violations(each, TEST_CLUSTER))}
    assert refused == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names(variant: str) -> None:
    objects = rendered(variant).objects
    assert [each for each, count in Counter(map(name, objects)).items() if count > 1] == []
    for each in objects:
        metadata = each["metadata"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", metadata["name"]), name(each)
        if each["kind"] in CLUSTER_WIDE:
            assert "namespace" not in metadata
            assert metadata["name"].startswith(f"{NAMESPACE}-{RELEASE}"), name(each)
        else:
            assert metadata.get("namespace") == NAMESPACE, name(each)
            assert metadata["name"].startswith(RELEASE), name(each)


@pytest.mark.parametrize("variant", VARIANTS)
def test_recommended_labels(variant: str) -> None:
    for each in rendered(variant).objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == RELEASE, name(each)
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "zhiyin"
        assert {"app.kubernetes.io/name", *VERSION_LABELS} <= labels.keys(), name(each)


@pytest.mark.parametrize("variant", VARIANTS)
def test_selectors_take_their_own_pods_and_no_others(variant: str) -> None:
    chart = rendered(variant)
    workloads = [each for each in chart.workloads() if each["kind"] in ("Deployment", "StatefulSet")]
    for each in workloads:
        selector = each["spec"]["selector"]["matchLabels"]
        assert not VERSION_LABELS & selector.keys(), name(each)
        selected = [name(other) for other in chart.workloads() if fits(selector, other)]
        assert selected == [name(each)]
    for service in chart.of("Service"):
        selector = service["spec"]["selector"]
        assert not VERSION_LABELS & selector.keys()
        selected_pods = [each for each in chart.workloads() if fits(selector, each)]
        assert selected_pods, name(service)
        components = {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in selected_pods}
        assert components == {service["metadata"]["labels"]["app.kubernetes.io/component"]}, name(service)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ports_of_services_exist(variant: str) -> None:
    chart = rendered(variant)
    for service in chart.of("Service"):
        pods = [pod_template(each)["spec"] for each in chart.workloads() if fits(service["spec"]["selector"], each)]
        for pod in pods:
            ports = [port for each in pod["containers"] for port in each.get("ports", [])]
            known = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
            for port in service["spec"]["ports"]:
                assert port.get("targetPort", port["port"]) in known, f"{name(service)}: {port}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_pods_refer_to_exists(variant: str) -> None:
    chart = rendered(variant)
    own = {(each["kind"], each["metadata"]["name"]) for each in chart.objects}
    own |= {("Secret", name) for name in existing_secrets(variant)}
    for each in chart.workloads():
        spec = pod_template(each)["spec"]
        account = spec.get("serviceAccountName", "default")
        assert account == "default" or ("ServiceAccount", account) in own, name(each)
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= volumes, f"{name(each)} mounts {mounted - volumes}"
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths)), f"{name(each)} mounts twice in one place"
        for path, value in every(spec):
            if isinstance(value, dict) and value.get("name", "").startswith(RELEASE):
                if path.endswith(("configMapKeyRef", "configMapRef", ".configMap")):
                    assert ("ConfigMap", value["name"]) in own, f"{name(each)} {path}"
                if path.endswith(("secretKeyRef", "secretRef")):
                    assert ("Secret", value["name"]) in own, f"{name(each)} {path}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_keys_of_own_secrets_and_config_maps_exist(variant: str) -> None:
    chart = rendered(variant)
    keys = {
        (each["kind"], each["metadata"]["name"]): each.get("data", {}).keys() | each.get("stringData", {}).keys()
        for each in chart.objects
        if each["kind"] in ("Secret", "ConfigMap")
    }
    for each in chart.workloads():
        for path, value in every(pod_template(each)["spec"]):
            kind = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}.get(path.rsplit(".", 1)[-1])
            if kind and (kind, value["name"]) in keys and not value.get("optional"):
                assert value["key"] in keys[kind, value["name"]], f"{name(each)} {path}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_have_a_version(variant: str) -> None:
    for each in rendered(variant).workloads():
        spec = pod_template(each)["spec"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            image = container["image"]
            tag = image.rpartition("/")[2].partition(":")[2]
            assert "@sha256:" in image or tag not in ("", "latest"), image
            assert container["imagePullPolicy"] == "IfNotPresent", name(each)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_get_no_token_and_no_rights(variant: str) -> None:
    chart = rendered(variant)
    rights = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    assert [name(each) for each in chart.objects if each["kind"] in rights] == []
    for account in chart.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for each in chart.workloads():
        spec = pod_template(each)["spec"]
        assert spec["automountServiceAccountToken"] is False, name(each)
        assert spec["enableServiceLinks"] is False, name(each)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_container_asks_for_what_it_may_use(variant: str) -> None:
    for each in rendered(variant).workloads():
        spec = pod_template(each)["spec"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            where = f"{name(each)} {container['name']}"
            resources = container["resources"]
            assert resources["requests"]["cpu"], where
            assert resources["requests"]["memory"] == resources["limits"]["memory"], where
            assert "cpu" not in resources["limits"], where
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where


def name(each: Object) -> str:
    """Kind and name."""
    return f"{each['kind']} {each['metadata']['name']}"


def fits(selector: dict[str, str], workload: Object) -> bool:
    """Whether a selector takes a workload's pods."""
    labels: dict[str, str] = pod_template(workload)["metadata"]["labels"]
    return selector.items() <= labels.items()
