"""Volumes for a cluster whose own StorageClass makes folders that only root may write: local ones, made beforehand."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kubernetes import kubectl

__all__ = ["STORAGE_CLASS", "local_volumes"]

STORAGE_CLASS = "zhiyin-test"
COUNT = 10
"""As many as the tests claim: three an installation, and one for each store that is to begin with nothing."""
SIZE = "5Gi"


@contextmanager
def local_volumes(folder: Path) -> Iterator[None]:
    """A StorageClass with volumes below `folder`, which is on the cluster's only node; both go with the block."""
    node = json.loads(kubectl("get", "nodes", "--output=json"))["items"][0]["metadata"]["labels"][
        "kubernetes.io/hostname"
    ]
    run = uuid.uuid4().hex[:8]
    names = [f"{STORAGE_CLASS}-{run}-{number}" for number in range(COUNT)]
    for name in names:
        (folder / name).mkdir(parents=True, mode=0o770)
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    documents = [storage_class] + [volume(name, folder / name, node) for name in names]
    kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    try:
        yield
    finally:
        kubectl("delete", "persistentvolume", *names, "--wait=false")
        kubectl("delete", "storageclass", STORAGE_CLASS)
        for name in names:
            shutil.rmtree(folder / name)


def volume(name: str, path: Path, node: str) -> dict[str, object]:
    """A volume that is the folder `path` of the node; the kubelet gives it to the pod's group."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
