"""Which image each container runs."""

import pytest
import yaml

from tests.chart.chart import CHART, Rendered, pod_template, render
from tests.chart.variants import COMPONENTS, rendered

VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
DIGEST = "sha256:" + "ab" * 32


def images(chart: Rendered) -> dict[str, set[str]]:
    """Images by workload."""
    found = {}
    for each in chart.workloads():
        spec = pod_template(each)["spec"]
        containers = [*spec["containers"], *spec.get("initContainers", [])]
        found[each["metadata"]["name"]] = {container["image"] for container in containers}
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_version_of_the_chart_is_the_tag(component: str) -> None:
    assert rendered("default").container(component)["image"] == f"ghcr.io/zhiyin/zhiyin-{component}:{VERSION}"


def test_one_tag_for_all_and_one_for_one() -> None:
    chart = render({"image": {"tag": "1.2"}, "components": {"login": {"image": {"tag": "1.3"}}}})
    assert chart.container("dialogue")["image"].endswith("zhiyin-dialogue:1.2")
    assert chart.container("login")["image"].endswith("zhiyin-login:1.3")


def test_a_digest_goes_before_the_tag() -> None:
    chart = render({"components": {"login": {"image": {"digest": DIGEST}}}, "redis": {"image": {"digest": DIGEST}}})
    assert chart.container("login")["image"] == f"ghcr.io/zhiyin/zhiyin-login@{DIGEST}"
    assert chart.container("redis", "StatefulSet")["image"] == f"docker.io/library/redis@{DIGEST}"


def test_migrations_run_the_image_of_the_service_they_migrate() -> None:
    chart = render({"components": {"login": {"image": {"tag": "1.3"}}}})
    containers = chart.get("Job", "migrations")["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each["image"] for each in containers} == {
        "login": "ghcr.io/zhiyin/zhiyin-login:1.3",
        "dialogue": f"ghcr.io/zhiyin/zhiyin-dialogue:{VERSION}",
        "business": f"ghcr.io/zhiyin/zhiyin-business:{VERSION}",
    }


def test_names_of_a_local_build() -> None:
    chart = render(
        {
            "image": {"repositoryPrefix": "localhost/zhiyin-", "tag": "dev", "pullPolicy": "Never"},
            "components": {"intent": {"image": {"repository": "localhost/other"}}},
        }
    )
    assert chart.container("login")["image"] == "localhost/zhiyin-login:dev"
    assert chart.container("login")["imagePullPolicy"] == "Never"
    assert chart.container("intent")["image"] == "localhost/other:dev"


def test_a_mirror_has_every_image() -> None:
    before, after = images(rendered("default")), images(rendered("mirror"))
    assert len(before) == len(after)
    for workload, names in after.items():
        assert all(name.startswith("mirror.example.com:5000/") for name in names), workload
    # Only the registry is another; a mirror keeps the rest of the name.
    assert after["zhiyin-redis"] == {
        name.replace("docker.io", "mirror.example.com:5000") for name in before["zhiyin-redis"]
    }
    assert after["zhiyin-login"] == {f"mirror.example.com:5000/zhiyin/zhiyin-login:{VERSION}"}


def test_every_pod_may_pull() -> None:
    for each in rendered("mirror").workloads():
        assert pod_template(each)["spec"]["imagePullSecrets"] == [{"name": "pull"}], each["metadata"]["name"]


def test_stores_are_official_images() -> None:
    names = images(rendered("default"))
    for store, repository in {
        "redis": "docker.io/library/redis",
        "postgresql": "docker.io/library/postgres",
        "consul": "docker.io/hashicorp/consul",
    }.items():
        # What makes Consul's tokens beside it is ours.
        (image,) = names[f"zhiyin-{store}"] - names["zhiyin-login"]
        assert image.rpartition(":")[0] == repository
    assert "bitnami" not in (CHART / "values.yaml").read_text()
