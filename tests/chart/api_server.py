"""As much of an API server as helm asks before it renders for a cluster: what kinds there are, and a few objects."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.chart.chart import CHART, NAMESPACE, RELEASE, Object, Rendered, documents
from tests.kubernetes import helm

__all__ = ["render_for"]

KINDS = {
    "v1": {"secrets": "Secret", "services": "Service", "configmaps": "ConfigMap", "pods": "Pod"}
    | {"serviceaccounts": "ServiceAccount", "persistentvolumeclaims": "PersistentVolumeClaim"},
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "batch/v1": {"jobs": "Job"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
}

OWNED_LABELS = {"app.kubernetes.io/managed-by": "Helm"}
OWNED_ANNOTATIONS = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE}
"""By these helm knows that an object is the release's."""


def resources(group: str) -> Object:
    """The kinds of a group, as a server lists them."""
    listed = [
        {"name": name, "singularName": "", "kind": kind, "namespaced": True, "verbs": ["get", "list", "create"]}
        for name, kind in KINDS[group].items()
    ]
    return {"kind": "APIResourceList", "groupVersion": group, "resources": listed}


def discovery() -> dict[str, Object]:
    """What a server says of itself, by path."""
    groups = [
        {"name": name, "versions": [version], "preferredVersion": version}
        for group in KINDS
        if "/" in group
        for name in [group.split("/")[0]]
        for version in [{"groupVersion": group, "version": group.split("/")[1]}]
    ]
    return {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        **{f"/{'apis' if '/' in group else 'api'}/{group}": resources(group) for group in KINDS},
    }


@contextmanager
def serving(objects: Mapping[str, Object]) -> Iterator[str]:
    """A server's address, for the time of the block; `objects` are those that it has, by path."""
    answers: dict[str, Any] = {**discovery(), **objects}
    missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = json.dumps(answers.get(path, missing)).encode()
            self.send_response(200 if path in answers else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def render_for(objects: list[Object], *arguments: str) -> Rendered:
    """The chart as it is rendered for a cluster in which the release has these objects already."""
    plural = {kind: (group, name) for group, kinds in KINDS.items() for name, kind in kinds.items()}
    there = {}
    for each in objects:
        group, name = plural[each["kind"]]
        path = f"/{'apis' if '/' in group else 'api'}/{group}/namespaces/{NAMESPACE}/{name}/{each['metadata']['name']}"
        metadata = {
            "namespace": NAMESPACE,
            "labels": OWNED_LABELS,
            "annotations": OWNED_ANNOTATIONS,
            **each["metadata"],
        }
        there[path] = {"apiVersion": group, **each, "metadata": metadata}
    with serving(there) as url:
        server = ("--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", url)
        fixed = ("template", RELEASE, str(CHART), "--namespace", NAMESPACE)
        return Rendered(documents(helm(*fixed, *server, *arguments)))
