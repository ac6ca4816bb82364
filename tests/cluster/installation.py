"""Zhiyin in a cluster, for tests: installed by helm into a namespace of its own, looked at and disturbed by kubectl."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.kubernetes import CommandFailed, helm, kubectl
from tests.stack import PROJECT, eventually

__all__ = ["DEPLOYMENTS", "RELEASE", "STATEFUL_SETS", "Images", "Installation", "Pod", "timed"]

CHART = PROJECT / "deploy" / "helm" / "zhiyin"
VALUES = Path(__file__).with_name("values.yaml")
RELEASE = "zhiyin"
COMPONENT = "app.kubernetes.io/component"
INSTALL_SECONDS = 300
READY_SECONDS = 120.0
COMPLAINTS = 15

DEPLOYMENTS = ("login", "intent", "business", "worker", "dialogue")
STATEFUL_SETS = ("redis", "consul", "postgresql")

Json = dict[str, Any]


@dataclass(frozen=True)
class Images:
    """Where the images under test are: `{prefix}dialogue:{tag}` and so on; `next_tag` is the next release of them.

    `gpu_name` is what stands behind the prefix for the GPU pool: another name, where there is no GPU to try it on.
    """

    prefix: str
    tag: str
    next_tag: str
    gpu_name: str

    def values(self, tag: str) -> list[str]:
        """Arguments of helm."""
        return ["--set", f"image.repositoryPrefix={self.prefix}", "--set-string", f"image.tag={tag}"]


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod as the API server knows it; pods with a GPU are a component of their own, such as `intent-gpu`."""

    name: str
    uid: str
    ip: str
    component: str
    ready: bool
    going: bool
    phase: str
    restarts: int
    containers: tuple[str, ...]
    images: frozenset[str]
    node: str

    @classmethod
    def of(cls, document: Json) -> Self:
        """From the API's document."""
        status = document["status"]
        statuses = status.get("containerStatuses", [])
        conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
        labels = document["metadata"].get("labels", {})
        pool = labels.get("zhiyin.io/pool", "cpu")
        return cls(
            name=document["metadata"]["name"],
            uid=document["metadata"]["uid"],
            ip=status.get("podIP", ""),
            component=labels.get(COMPONENT, "") + ("" if pool == "cpu" else f"-{pool}"),
            ready=conditions.get("Ready") == "True",
            going="deletionTimestamp" in document["metadata"],
            phase=status.get("phase", ""),
            restarts=sum(each["restartCount"] for each in statuses),
            containers=tuple(each.get("containerID", "").rpartition("/")[2] for each in statuses),
            images=frozenset(each["image"] for each in document["spec"]["containers"]),
            node=document["spec"].get("nodeName", ""),
        )


class Installation:
    """One release in one namespace."""

    def __init__(self, namespace: str, images: Images, stores: Sequence[str]) -> None:
        self.namespace = namespace
        self.images = images
        self._stores = stores
        self._addresses: dict[str, str] = {}

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in the namespace."""
        return await asyncio.to_thread(kubectl, "--namespace", self.namespace, *arguments, stdin=stdin)

    async def helm(self, *arguments: str) -> str:
        """helm in the namespace."""
        return await asyncio.to_thread(helm, "--namespace", self.namespace, *arguments)

    async def get(self, *arguments: str) -> Json:
        """What `kubectl get` knows."""
        found: Json = json.loads(await self.kubectl("get", *arguments, "--output=json"))
        return found

    async def install(self, *values: str) -> None:
        """Installs and waits until everything is ready."""
        await self.kubectl("create", "namespace", self.namespace)
        await self._apply("install", "--wait", "--wait-for-jobs", *values)

    async def upgrade(self, *values: str, tag: str | None = None, wait: bool = True) -> None:
        """Upgrades and waits until everything is ready."""
        await self._apply("upgrade", *(["--wait"] if wait else []), *values, tag=tag)

    async def revision(self) -> int:
        """The number of the release's revision."""
        return int(json.loads(await self.helm("status", RELEASE, "--output=json"))["version"])

    async def rollback(self, revision: int) -> None:
        """Goes back to a revision and waits until everything is ready."""
        await self.helm("rollback", RELEASE, str(revision), "--wait", "--timeout", f"{INSTALL_SECONDS}s")

    async def test(self) -> str:
        """What `helm test` says; raises `CommandFailed`."""
        return await self.helm("test", RELEASE, "--logs", "--timeout", f"{INSTALL_SECONDS}s")

    async def _apply(self, verb: str, *arguments: str, tag: str | None = None) -> None:
        images = self.images.values(tag or self.images.tag)
        options = ["--values", str(VALUES), *self._stores, *images, "--timeout", f"{INSTALL_SECONDS}s"]
        try:
            await self.helm(verb, RELEASE, str(CHART), *options, *arguments)
        except CommandFailed as failure:
            raise AssertionError(f"{failure}\n{await self.describe()}") from None

    async def describe(self) -> str:
        """The state of the cluster, for the report of a failed test."""
        pods = await self.kubectl("get", "pods", "--output=wide")
        events = await self.kubectl("get", "events", "--sort-by=.lastTimestamp")
        said = []
        for pod in await self.pods():
            if not pod.ready and pod.phase not in ("Succeeded", "Pending"):
                said.append(f"--- {pod.name}\n{await self.logs(pod.name, lines=15)}")
        return "\n".join([pods, *events.splitlines()[-25:], *said])

    async def logs(self, pod: str, *, lines: int = -1) -> str:
        """What a pod's containers wrote."""
        try:
            return await self.kubectl("logs", pod, "--all-containers", f"--tail={lines}")
        except CommandFailed as failure:
            return str(failure)

    def complaints(self) -> str:
        """The pods, and the last warnings of the services."""
        found = [kubectl("--namespace", self.namespace, "get", "pods", "--output=wide")]
        for component in DEPLOYMENTS:
            selector = f"app.kubernetes.io/instance={RELEASE},{COMPONENT}={component}"
            try:
                said = kubectl("--namespace", self.namespace, "logs", "--selector", selector, "--tail=400", "--prefix")
            except CommandFailed as failure:
                # A pod has just ended.
                said = str(failure)
            loud = [line for line in said.splitlines() if '"level": "warning"' in line or '"level": "error"' in line]
            found += loud[-COMPLAINTS:]
        return "\n".join(found)

    async def uninstall(self) -> None:
        """Removes the release and waits until its pods are gone."""
        await self.helm("uninstall", RELEASE, "--wait", "--timeout", f"{INSTALL_SECONDS}s")

        async def gone() -> bool:
            return not await self.pods()

        await eventually(gone, READY_SECONDS, what="the end of the last pod")

    async def remove(self) -> None:
        """Removes the namespace with everything in it, without waiting for its pods to end in order."""
        await self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")
        await self.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=180s")

    async def pods(self, component: str | None = None) -> list[Pod]:
        """The release's pods, or those of one component, without those of finished jobs."""
        found = await self.get("pods", "--selector", f"app.kubernetes.io/instance={RELEASE}")
        pods = [Pod.of(item) for item in found["items"]]
        wanted = [
            pod for pod in pods if component in (None, pod.component) and pod.phase not in ("Succeeded", "Failed")
        ]
        return sorted(wanted, key=lambda pod: pod.name)

    async def ready_pods(self, component: str) -> list[Pod]:
        """Those that are ready and stay."""
        return [pod for pod in await self.pods(component) if pod.ready and not pod.going]

    def name_of(self, component: str) -> str:
        """`deployment/…` or `statefulset/…` of a component."""
        kind = "statefulset" if component in STATEFUL_SETS else "deployment"
        return f"{kind}/{RELEASE}-{component}"

    async def replicas(self, component: str) -> int:
        """How many pods a component should have."""
        return int((await self.get(self.name_of(component)))["spec"]["replicas"])

    async def scale(self, component: str, replicas: int, seconds: float = READY_SECONDS) -> None:
        """Sets the number of pods and waits until there are so many, all ready."""
        await self.kubectl("scale", self.name_of(component), f"--replicas={replicas}")
        await self.whole(component, seconds=seconds)

    async def whole(self, component: str, *, without: Sequence[str] = (), seconds: float = READY_SECONDS) -> None:
        """Waits until a component has all its pods, ready, none on its way out, and none of the uids `without`."""
        wanted = await self.replicas(component)

        async def look() -> bool:
            pods = await self.pods(component)
            staying = [pod for pod in pods if pod.ready and not pod.going and pod.uid not in without]
            return len(staying) == len(pods) == wanted

        await eventually(look, seconds, what=f"{wanted} ready pods of {component}")

    async def forget(self, store: str) -> None:
        """Gives a store that is scaled to nothing an empty volume."""
        claim = await self.get("persistentvolumeclaim", f"{RELEASE}-{store}")
        await self.kubectl("delete", "persistentvolumeclaim", claim["metadata"]["name"], "--timeout=60s")
        fresh: Json = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {key: claim["metadata"][key] for key in ("name", "labels")},
            "spec": {key: claim["spec"][key] for key in ("accessModes", "resources", "storageClassName")},
        }
        # What helm made is still helm's.
        owner = claim["metadata"]["annotations"]
        fresh["metadata"]["annotations"] = {key: owner[key] for key in owner if key.startswith("meta.helm.sh/")}
        await self.kubectl("create", "--filename=-", stdin=json.dumps(fresh))

    async def delete(self, pod: Pod, *, force: bool = False) -> None:
        """Deletes a pod as `kubectl delete pod` does; with `force`, without waiting for its end."""
        how = ["--grace-period=0", "--force"] if force else ["--wait=false"]
        await self.kubectl("delete", "pod", pod.name, *how)

    async def crash(self, pod: Pod) -> None:
        """Kills the processes of a pod with SIGKILL; needs to run on its node, as root."""
        pids = processes_of(pod)
        assert pids, f"the processes of {pod.name} are not on this machine"
        for pid in pids:
            # A child may have gone with its parent.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def url(self, component: str) -> str:
        """A component's Service, by its cluster address."""
        if component not in self._addresses:
            service = await self.get("service", f"{RELEASE}-{component}")
            ports = {port.get("name", ""): port["port"] for port in service["spec"]["ports"]}
            port = ports.get("http") or next(iter(ports.values()))
            self._addresses[component] = f"http://{service['spec']['clusterIP']}:{port}"
        return self._addresses[component]

    async def registered(self, service: str) -> dict[str, str]:
        """The passing instances of a service in Consul, id to address; empty when Consul does not answer."""
        config = await self.get("configmap", f"{RELEASE}-config")
        prefix = f"{config['data']['ZHIYIN_INSTALLATION']}-"
        secret = await self.get("secret", f"{RELEASE}-secrets")
        token = base64.b64decode(secret["data"]["consul-management-token"]).decode()
        url = f"{await self.url('consul')}/v1/health/service/{prefix}{service}?passing=1"
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=2), headers={"X-Consul-Token": token}
                ) as session,
                session.get(url) as response,
            ):
                if response.status != 200:
                    return {}
                found = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return {}
        return {each["Service"]["ID"].removeprefix(prefix): each["Service"]["Address"] for each in found}

    async def unregistered(self) -> list[str]:
        """What differs between the ready pods and Consul's passing instances; empty when nothing does."""
        differing = []
        for component in DEPLOYMENTS:
            wanted = {f"{component}-{pod.uid}": pod.ip for pod in await self.ready_pods(component)}
            found = await self.registered(component)
            if found != wanted or not wanted:
                differing.append(f"{component}: {found} in Consul, {wanted} in the cluster")
        return differing

    async def settled(self) -> None:
        """Waits until every service has all its pods and Consul has just those as passing."""
        for component in DEPLOYMENTS:
            await self.whole(component)

        async def look() -> bool:
            return not await self.unregistered()

        await eventually(look, READY_SECONDS, what="the ready pods, and no others, passing in Consul")

    async def execute(self, pod: str, *command: str) -> str:
        """What a command writes inside a pod; raises `CommandFailed`."""
        return await self.kubectl("exec", pod, "--", *command)

    async def sql(self, database: str, query: str) -> str:
        """What PostgreSQL answers, unaligned and without headings."""
        # By its socket: the password that the container was started with may be another one by now.
        command = 'exec psql -U "$POSTGRES_USER" -v ON_ERROR_STOP=1 -d "$0" -Atc "$1"'
        said = await self.kubectl(
            *("exec", f"{RELEASE}-postgresql-0", "--container=postgresql", "--", "sh", "-c", command, database, query)
        )
        return said.strip()


def processes_of(pod: Pod) -> list[int]:
    """The ids on this machine of a pod's processes."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            groups = (folder / "cgroup").read_text()
        except (OSError, NotADirectoryError):
            continue
        if folder.name.isdigit() and any(container and container in groups for container in pod.containers):
            found.append(int(folder.name))
    return found


async def timed(work: Awaitable[None]) -> float:
    """How many seconds the work takes."""
    began = time.monotonic()
    await work
    return time.monotonic() - began
