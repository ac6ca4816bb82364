"""The plain manifests in deploy/k8s are the chart's, and kustomize builds them."""

import re
import subprocess
from collections import Counter

import pytest

from deploy.k8s.render import FOLDER, INSTALLS, NAMESPACE, manifests
from services.login.bootstrap import Seed
from tests.chart.api import NEWEST, OLDEST, violations
from tests.chart.chart import Object, documents, environment, every, pod_template
from tests.chart.pod_security import restricted_violations
from tests.kubernetes import kubectl

README = (FOLDER / "README.md").read_text()


def built(install: str) -> list[Object]:
    """What `kubectl apply --kustomize` would send."""
    return documents(kubectl("kustomize", str(FOLDER / install)))


@pytest.mark.parametrize("install", INSTALLS)
def test_they_are_up_to_date(install: str) -> None:
    expected = manifests(INSTALLS[install])
    found = {each.name: each.read_text() for each in (FOLDER / install).glob("*.yaml")}
    outdated = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
    assert outdated == set(), "`make k8s` renders them"


@pytest.mark.parametrize("install", INSTALLS)
def test_kustomize_builds_every_object(install: str) -> None:
    files = [each for each in (FOLDER / install).glob("*.yaml") if each.name != "kustomization.yaml"]
    written = [document for each in files for document in documents(each.read_text())]
    assert Counter(map(identity, built(install))) == Counter(map(identity, written))


@pytest.mark.parametrize("install", INSTALLS)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_api_servers_take_every_object(install: str, version: str) -> None:
    api = [each for each in built(install) if each["kind"] != "Namespace"]
    assert {identity(each): found for each in api if (found := violations(each, version))} == {}


@pytest.mark.parametrize("install", INSTALLS)
def test_they_have_no_secret_and_nothing_of_helm(install: str) -> None:
    objects = built(install)
    assert not [each for each in objects if each["kind"] == "Secret"]
    for each in objects:
        assert not [path for path, _ in every(each) if "helm.sh" in path], identity(each)
        assert each["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") is None


@pytest.mark.parametrize("install", INSTALLS)
def test_every_pod_fits_the_namespace_that_comes_with_it(install: str) -> None:
    objects = built(install)
    (namespace,) = [each for each in objects if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            assert restricted_violations(pod_template(each)) == []
            assert each["metadata"]["namespace"] == NAMESPACE


@pytest.mark.parametrize("install", INSTALLS)
def test_the_readme_makes_every_secret_that_is_read(install: str) -> None:
    read = set()
    for each in built(install):
        if each["kind"] not in ("Deployment", "StatefulSet", "Job"):
            continue
        spec = pod_template(each)["spec"]
        for container in spec["containers"]:
            for source in environment(container).values():
                if isinstance(source, dict) and not source.get("secretKeyRef", {"optional": True}).get("optional"):
                    read.add((source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]))
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                read |= {(volume["secret"]["secretName"], item["key"]) for item in volume["secret"]["items"]}
    assert read
    assert read <= made_by_the_readme()


def made_by_the_readme() -> set[tuple[str, str]]:
    """Secrets and keys of the README's commands."""
    made = set()
    for command in re.findall(r"create secret generic (.*?)(?:\n[^ ]|\Z)", README, re.DOTALL):
        name = command.split()[0]
        made |= {(name, key) for key in re.findall(r"--from-(?:literal|file)=([^=\s]+)", command)}
    return made


def test_the_readmes_commands_are_shell() -> None:
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_readmes_bootstrap_file_is_one() -> None:
    text = re.search(r"<<END\n(.*?)\nEND", README, re.DOTALL)
    assert text is not None
    seed = Seed.model_validate_json(re.sub(r"\$\w+", "9f86d081884c7d659a2feaa0c55ad015", text[1]))
    assert {each.client_id for each in seed.clients} == {"dialogue", "intent", "business", "worker"}


def test_an_overlay_of_ones_own_changes_images(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("overlay")
    relative = "/".join([".."] * len(folder.resolve().parts[1:])) + str((FOLDER / "default").resolve())
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [{relative}]\n"
        "images: [{name: ghcr.io/zhiyin/zhiyin-dialogue, newName: registry.example.com/chat, newTag: '7'}]\n"
    )
    objects = documents(kubectl("kustomize", str(folder)))
    images = {
        container["image"]
        for each in objects
        if each["kind"] == "Deployment"
        for container in pod_template(each)["spec"]["containers"]
    }
    assert "registry.example.com/chat:7" in images
    assert "ghcr.io/zhiyin/zhiyin-login:0.1.0" in images


def identity(document: Object) -> str:
    """Kind and name."""
    return f"{document['kind']} {document['metadata']['name']}"
