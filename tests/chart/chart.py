"""The chart, rendered by the real helm: cheap to ask for the same values twice, strict in what it reads back."""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kept import digest_of, kept
from tests.kubernetes import helm, program

__all__ = [
    "CHART",
    "NAMESPACE",
    "PROJECT",
    "RELEASE",
    "Object",
    "Rendered",
    "documents",
    "environment",
    "every",
    "pod_template",
    "render",
]

PROJECT = Path(__file__).resolve().parents[2]
CHART = PROJECT / "deploy" / "helm" / "zhiyin"
RELEASE = "zhiyin"
NAMESPACE = "support"
NEWEST = "1.37.0"

Object = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """YAML as API servers read it in their strict mode: a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{sorted(twice)} twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def documents(text: str) -> list[Object]:
    """The objects of a stream of YAML documents; empty documents are left out. They are shared: read them only."""
    return [found for each in re.split(r"^---(?=\s)", text, flags=re.MULTILINE) if (found := _document(each))]


@functools.cache
def _document(text: str) -> Object | None:
    """Most documents are the same whatever the values are, and to read one takes longer than to render it."""
    found: Object | None = yaml.load(text, _Loader)
    return found


@dataclass(frozen=True)
class Rendered:
    """The objects that one set of values gives. They are shared between tests: read them only."""

    objects: list[Object]

    def of(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def names(self, kind: str) -> set[str]:
        """Names of all objects of a kind."""
        return {each["metadata"]["name"] for each in self.of(kind)}

    def get(self, kind: str, name: str) -> Object:
        """The one object of that kind and name; `name` is what follows the release's name.

        The name of a Job ends with a digest of its pods besides, which cannot be changed.
        """
        full = f"{RELEASE}-{name}" if name else RELEASE
        named = re.compile(re.escape(full) + ("(-[0-9a-f]{8})?" if kind == "Job" else ""))
        found = [each for each in self.of(kind) if named.fullmatch(each["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} {kind} {full}; there are {sorted(self.names(kind))}"
        return found[0]

    def workloads(self) -> list[Object]:
        """Everything that makes pods, and pods."""
        kinds = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"}
        return [each for each in self.objects if each["kind"] in kinds]

    def pod(self, name: str, kind: str = "Deployment") -> Object:
        """The pod template of a workload: `metadata` and `spec`."""
        template: Object = self.get(kind, name)["spec"]["template"]
        return template

    def container(self, name: str, kind: str = "Deployment") -> Object:
        """The first container of a workload."""
        container: Object = self.pod(name, kind)["spec"]["containers"][0]
        return container

    def where(self, test: Callable[[Object], bool]) -> list[Object]:
        """The objects that fit."""
        return [each for each in self.objects if test(each)]


def pod_template(workload: Object) -> Object:
    """`metadata` and `spec` of the pods that a workload makes."""
    if workload["kind"] == "Pod":
        return workload
    if workload["kind"] == "CronJob":
        template: Object = workload["spec"]["jobTemplate"]["spec"]["template"]
    else:
        template = workload["spec"]["template"]
    return template


def environment(container: Object) -> dict[str, Any]:
    """Variables of a container: their values, or what they are taken from; the last of a name counts, as in a pod."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def every(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value inside a document with its path, the document itself first."""
    yield path, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from every(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from every(inner, f"{path}[{index}]")


def render(
    values: Mapping[str, Any] | None = None,
    *,
    files: tuple[str, ...] = (),
    upgrade: bool = False,
    kubernetes: str = NEWEST,
    apis: tuple[str, ...] = (),
) -> Rendered:
    """The chart as `helm install` (or `upgrade`) would send it.

    `files` are values files of the chart, `apis` those that the cluster has beyond Kubernetes' own.

    Raises:
        CommandFailed: the values are not accepted, or a template fails.
    """
    return _render(json.dumps(values or {}, sort_keys=True), files, upgrade, kubernetes, apis)


@functools.cache
def _render(values: str, files: tuple[str, ...], upgrade: bool, kubernetes: str, apis: tuple[str, ...]) -> Rendered:
    arguments = ["template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", kubernetes]
    for each in files:
        arguments += ["--values", str(CHART / each)]
    for each in apis:
        arguments += ["--api-versions", each]
    if upgrade:
        arguments.append("--is-upgrade")
    key = digest_of(more=[_chart_digest(), *arguments[3:], values])

    def make(folder: Path) -> None:
        (folder / "objects.yaml").write_text(helm(*arguments, "--values", "-", stdin=values), encoding="utf-8")

    return Rendered(documents((kept("renders", key, make) / "objects.yaml").read_text(encoding="utf-8")))


@functools.cache
def _chart_digest() -> str:
    """The digest of everything below the chart's folder, and of which helm renders it."""
    files = sorted(each for each in CHART.rglob("*") if each.is_file())
    helm_program = program("helm")
    return digest_of(
        files=files, more=[*(str(each.relative_to(CHART)) for each in files), f"{helm_program.stat().st_size}"]
    )
