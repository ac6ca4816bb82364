"""Writes the plain manifests of this folder from the chart: `python -m deploy.k8s.render`, or `make k8s`.

A folder a way of installing, each with a kustomization.yaml and a file a component. What is Helm's own is left out: its
labels and annotations, its tests, and the Secret that it would make of random values.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cli.home import Home
from cli.tools import find_cluster_program

__all__ = ["FOLDER", "INSTALLS", "NAMESPACE", "manifests", "rendered"]

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent.parent
CHART = PROJECT / "deploy" / "helm" / "zhiyin"
NAMESPACE = "zhiyin"
INSTALLS = {
    "default": ["--set", "secrets.existingSecret=zhiyin-secrets"],
    "production": ["--values", str(CHART / "values-production.yaml")],
}
"""Folders, and the values that each is rendered with."""

KUBERNETES = "1.37.0"
HEAD = "# Rendered from deploy/helm/zhiyin by `make k8s`; change the chart instead.\n"
MONITORING = {"ServiceMonitor", "PrometheusRule"}
SECONDS = 60

Object = dict[str, Any]


class _Dumper(yaml.CSafeDumper):
    """YAML that people read: texts of several lines as such."""


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def rendered(arguments: list[str]) -> list[Object]:
    """The chart's objects with these values, in Helm's order."""
    helm = find_cluster_program("helm", Home(PROJECT / ".zhiyin").tools)
    fixed = ["--namespace", NAMESPACE, "--kube-version", KUBERNETES, "--skip-tests"]
    done = subprocess.run(
        [str(helm), "template", "zhiyin", str(CHART), *fixed, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    objects = [without_helm(each) for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]
    return [each for each in objects if component_of(each) != "tests"]


def component_of(document: Object) -> str:
    """Which component an object belongs to; empty for what all share."""
    return str(document["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def without_helm(document: Object) -> Object:
    """The object without what only Helm reads or writes."""
    for metadata in metadata_of(document):
        labels = metadata.get("labels", {})
        labels.pop("helm.sh/chart", None)
        labels.pop("app.kubernetes.io/managed-by", None)
        annotations = metadata.get("annotations", {})
        for name in [each for each in annotations if each.startswith("helm.sh/")]:
            del annotations[name]
        if not annotations:
            metadata.pop("annotations", None)
    return document


def metadata_of(document: Object) -> Iterator[Object]:
    """The metadata of an object, and of the pods that it makes."""
    yield document["metadata"]
    template = (document.get("spec") or {}).get("template")
    if isinstance(template, dict) and "metadata" in template:
        yield template["metadata"]


def file_of(document: Object) -> str:
    """In which file an object stands."""
    if document["kind"] in MONITORING or "grafana_dashboard" in document["metadata"]["labels"]:
        return "monitoring.yaml"
    return f"{component_of(document) or 'shared'}.yaml"


def manifests(arguments: list[str]) -> dict[str, str]:
    """The files of one folder, by name."""
    restricted = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}
    files: dict[str, list[Object]] = {"namespace.yaml": [namespace]}
    for each in rendered(arguments):
        files.setdefault(file_of(each), []).append(each)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": sorted(files),
    }
    return {
        "kustomization.yaml": HEAD + dumped([kustomization]),
        **{name: HEAD + dumped(objects) for name, objects in files.items()},
    }


def dumped(objects: list[Object]) -> str:
    """Objects as YAML documents."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def main() -> None:
    """Replaces every folder's files."""
    for name, arguments in INSTALLS.items():
        folder = FOLDER / name
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.yaml"):
            old.unlink()
        for file, text in manifests(arguments).items():
            (folder / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
