"""Reads of a PromQL expression which metrics and labels it names, and of the code which ones there are."""

import ast
import re
from functools import cache

from tests.chart.chart import PROJECT

__all__ = ["CLUSTER_METRICS", "SCRAPE_LABELS", "TARGET_LABELS", "exported", "labels_of", "metrics_of"]

CLUSTER_METRICS = {
    "up",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_available",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_pod_container_resource_limits",
    "kube_pod_container_status_restarts_total",
    "kube_job_status_failed",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
}
"""Of Prometheus itself, the kubelet, kube-state-metrics and every client library."""

TARGET_LABELS = {"job", "instance", "namespace", "pod", "service", "container", "endpoint"}
"""Labels that every series of a target gets."""

SCRAPE_LABELS = TARGET_LABELS | {"le", "app_kubernetes_io_component", "persistentvolumeclaim"}
"""Labels that come with a scrape of the chart's ServiceMonitor, or that a histogram has."""

KEYWORDS = {
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "nan",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
}
TYPES = {"Counter", "Gauge", "Histogram", "Summary"}


def metrics_of(expression: str) -> set[str]:
    """Names of the series that an expression reads."""
    text = re.sub(r'"[^"]*"|\'[^\']*\'|`[^`]*`', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\b\d+(\.\d+)?([smhdwy]|ms)?\b|\$\w+", " ", text)
    names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()(?![a-zA-Z0-9_:])", text)
    return {each for each in names if each not in KEYWORDS}


def labels_of(expression: str) -> set[str]:
    """Labels by which an expression selects, groups or joins."""
    selected = re.findall(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*[\"'`]", expression)
    grouped = re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression)
    return set(selected) | {each.strip() for group in grouped for each in group.split(",") if each.strip()}


@cache
def exported() -> dict[str, frozenset[str]]:
    """Every series that the services export, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for folder in ("shared", "services"):
        for file in (PROJECT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            constants = _lists(tree)
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in TYPES
                    and node.args
                ):
                    first = node.args[0]
                    if isinstance(first, ast.Constant) and str(first.value).startswith("zhiyin_"):
                        labels = frozenset(_strings(node.args[2], constants)) if len(node.args) > 2 else frozenset()
                        found |= dict.fromkeys(_series(str(first.value), node.func.id), labels)
    return found


def _series(name: str, kind: str) -> list[str]:
    if kind == "Counter":
        return [f"{name.removesuffix('_total')}_total"]
    if kind == "Histogram":
        return [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
    return [name] if kind == "Gauge" else [name, f"{name}_sum", f"{name}_count"]


def _lists(tree: ast.Module) -> dict[str, list[str]]:
    """Lists of strings that a module names at its top, for labels that several metrics share."""
    return {
        target.id: [str(item.value) for item in node.value.elts if isinstance(item, ast.Constant)]
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _strings(node: ast.expr, constants: dict[str, list[str]]) -> list[str]:
    if isinstance(node, ast.Name):
        return constants[node.id]
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    assert isinstance(node, ast.List | ast.Tuple), ast.dump(node)
    found: list[str] = []
    for each in node.elts:
        found += _strings(each.value if isinstance(each, ast.Starred) else each, constants)
    return found
