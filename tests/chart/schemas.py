"""Kubernetes' API schemas, of the kinds that the chart makes.

The package `kubernetes-validate` carries the OpenAPI definitions of the API servers as JSON schemas in which unknown
fields are refused; it is fetched the first time, and what is needed of it kept. That is without descriptions, and
without the `null` that the package allows everywhere: a null in a manifest is a template that rendered nothing where
something was meant.
"""

import fcntl
import json
import subprocess
import sys
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from cli.errors import EnvironmentUnfit
from cli.home import write_atomically
from tests.kubernetes import TOOLS

__all__ = ["schemas"]

FOLDER = TOOLS / "kubernetes-schemas"
FETCH_SECONDS = 300
DEFINITIONS = "kubernetes_validate/kubernetes-json-schema/v{}.0-local-strict/_definitions.json"

PACKAGES = {"1.20": "1.28.3", "1.23": "1.28.3", "1.37": "1.37.0"}
"""Which version of the package has the definitions of which Kubernetes."""

KINDS = {
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PriorityClass",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}

GROUPS = {
    "core": "",
    "networking": "networking.k8s.io",
    "rbac": "rbac.authorization.k8s.io",
    "scheduling": "scheduling.k8s.io",
}
"""API groups that are written otherwise than in the names of their definitions."""


def trimmed(schema: Any, *, names: bool = False) -> Any:
    """The schema without what validation does not need; `names` says that the keys here are field names."""
    if isinstance(schema, dict):
        kept = {
            key: trimmed(value, names=key in ("properties", "$defs", "definitions") and not names)
            for key, value in schema.items()
            if names or (key != "description" and not key.startswith("x-"))
        }
        if not names and isinstance(kept.get("$ref"), str):
            kept["$ref"] = "#/$defs/" + kept["$ref"].rsplit("/", 1)[1]
        if not names and isinstance(kept.get("type"), list):
            types = [each for each in kept["type"] if each != "null"]
            kept["type"] = types[0] if len(types) == 1 else types
        return kept
    if isinstance(schema, list):
        return [trimmed(each) for each in schema]
    return schema


def references(schema: Any) -> set[str]:
    """Names of the definitions that a trimmed schema points to."""
    if isinstance(schema, dict):
        own = {schema["$ref"].rsplit("/", 1)[1]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*(references(each) for each in schema.values()))
    if isinstance(schema, list):
        return set().union(*(references(each) for each in schema))
    return set()


def cut(published: dict[str, Any]) -> dict[str, Any]:
    """`kinds` ("apps/v1 Deployment" → name of its definition) and the `$defs` that they reach."""
    kinds = {}
    for name, schema in published.items():
        group, version, kind = name.removeprefix("io.k8s.api.").split(".")[-3:]
        released = name.startswith("io.k8s.api.") and "alpha" not in version and "beta" not in version
        if released and kind in KINDS and "apiVersion" in schema.get("properties", {}):
            prefix = GROUPS.get(group, group)
            kinds[f"{prefix}{'/' if prefix else ''}{version} {kind}"] = name
    needed: dict[str, Any] = {}
    waiting = set(kinds.values())
    while waiting:
        name = waiting.pop()
        needed[name] = trimmed(published[name])
        if name in kinds.values():
            needed[name]["properties"].pop("status", None)
        waiting |= references(needed[name]) - needed.keys()
    return {"kinds": kinds, "$defs": needed}


@cache
def schemas(version: str) -> dict[str, Any]:
    """The `kinds` and `$defs` of a version, such as "1.37".

    Raises:
        EnvironmentUnfit: they are not kept yet and pip cannot fetch them.
    """
    kept = FOLDER / f"{version}-{zlib.crc32(Path(__file__).read_bytes()):08x}.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            write_atomically(kept, json.dumps(cut(fetched(version))), mode=0o644)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def fetched(version: str) -> dict[str, Any]:
    """All definitions of a version, as they are published."""
    package = f"kubernetes-validate=={PACKAGES[version]}"
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "2"]
        done = subprocess.run(
            [*pip, "--no-deps", "--dest", folder, package],
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        wheel = next(Path(folder).glob("*.whl"), None)
        if wheel is None:
            reason = (done.stderr.strip().splitlines() or ["no word why"])[-1]
            raise EnvironmentUnfit(f"Kubernetes' API schemas are in {package}, which pip cannot fetch: {reason}")
        with zipfile.ZipFile(wheel) as archive:
            document = json.loads(archive.read(DEFINITIONS.format(version)))
    published: dict[str, Any] = document.get("$defs") or document["definitions"]
    return published
