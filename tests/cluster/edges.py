"""Who calls whom: what NetworkPolicies allow, and the connections that the node's connection tracking has seen."""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.kubernetes import program

__all__ = ["Edge", "EdgeWatch", "allowed", "can_watch", "watching_edges"]

Edge = tuple[str, str, int]
"""From a component, to a component, on a port."""

Json = dict[str, Any]
Labels = Mapping[str, str]
Ports = Mapping[str, int]

FLOW = re.compile(
    r"\[NEW\] (?P<protocol>tcp|udp) .*?src=(?P<source>\S+) dst=\S+ sport=\d+ dport=(?P<asked>\d+) "
    r".*?src=(?P<target>\S+) dst=\S+ sport=(?P<port>\d+)"
)
PODS = "jsonpath={.status.podIP}|{.metadata.labels}|{.spec.containers[*].ports}{'\\n'}"
COMPONENT = "app.kubernetes.io/component"


class EdgeWatch:
    """Follows every connection between pods of one namespace, and the addresses of its pods, from now on."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._components: dict[str, str] = {}
        self._labels: dict[str, Labels] = {}
        self._ports: dict[str, dict[str, int]] = {}
        self._flows: set[tuple[str, str, int, int, str]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins."""
        pods = ("--namespace", self._namespace, "get", "pods", "--watch", f"--output={PODS}")
        self._tasks = [
            asyncio.create_task(self._read((str(program("kubectl")), *pods), self._note_pod, forever=True)),
            asyncio.create_task(self._read(("conntrack", "-E", "-e", "NEW"), self._note_flow, forever=False)),
        ]

    async def stop(self) -> None:
        """Ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def allowed(self, policies: Iterable[Json]) -> set[Edge]:
        """What the policies allow between the components whose pods were seen."""
        return allowed(policies, self._labels, self._ports)

    def edges(self) -> set[Edge]:
        """What was seen between pods of the namespace."""
        return {
            (self._components[source], self._components[target], port)
            for source, target, port, _, protocol in self._flows
            if protocol == "tcp" and source in self._components and target in self._components
        }

    def outward(self) -> set[tuple[str, str, int]]:
        """What pods of the namespace called outside of it: component, address, and the port that they asked for."""
        return {
            (self._components[source], target, asked)
            for source, target, _, asked, _ in self._flows
            if source in self._components and target not in self._components
        }

    def _note_pod(self, line: str) -> None:
        address, labels_json, ports_json = line.strip().split("|")
        labels = json.loads(labels_json or "{}")
        component = labels.get(COMPONENT)
        if component is None:
            return
        if address:
            self._components[address] = component
        self._labels[component] = labels
        # Lists of several containers stand side by side.
        for port in json.loads(ports_json.replace("] [", ",") or "[]"):
            named = self._ports.setdefault(component, {})
            named[port.get("name", str(port["containerPort"]))] = int(port["containerPort"])

    def _note_flow(self, line: str) -> None:
        flow = FLOW.search(line)
        if flow is not None:
            ports = int(flow["port"]), int(flow["asked"])
            self._flows.add((flow["source"], flow["target"], *ports, flow["protocol"]))

    async def _read(self, command: tuple[str, ...], note: Any, *, forever: bool) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            assert process.stdout is not None
            try:
                async for line in process.stdout:
                    note(line.decode())
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            if not forever:
                return
            # A watch ends now and then; the next one starts with what changed meanwhile.
            await asyncio.sleep(0.5)


def can_watch() -> bool:
    """Whether this machine shows the connections of its pods."""
    return shutil.which("conntrack") is not None


@asynccontextmanager
async def watching_edges(namespace: str) -> AsyncIterator[EdgeWatch]:
    """A watch for the time of the block."""
    watch = EdgeWatch(namespace)
    watch.start()
    try:
        yield watch
    finally:
        await watch.stop()


def allowed(
    policies: Iterable[Json], components: Mapping[str, Labels], ports: Mapping[str, Mapping[str, int]]
) -> set[Edge]:
    """Every edge between the components that both ends' policies let through.

    Args:
        components: the labels of each component's pods.
        ports: the ports of each component's containers, by name.
    """
    policies = list(policies)
    found = set()
    for source, source_labels in components.items():
        for target, target_labels in components.items():
            for number in set(ports.get(target, {}).values()):
                leaves = _passes(policies, "egress", source_labels, target_labels, number, ports[target])
                enters = _passes(policies, "ingress", target_labels, source_labels, number, ports[target])
                if leaves and enters:
                    found.add((source, target, number))
    return found


def _passes(policies: list[Json], way: str, own: Labels, other: Labels, port: int, names: Ports) -> bool:
    side = "to" if way == "egress" else "from"
    mine = [
        policy["spec"]
        for policy in policies
        if _selects(policy["spec"]["podSelector"], own) and way.capitalize() in policy["spec"]["policyTypes"]
    ]
    if not mine:
        return True
    return any(
        _peer_matches(rule.get(side, []), other) and _port_matches(rule.get("ports", []), port, names)
        for spec in mine
        for rule in spec.get(way, [])
    )


def _peer_matches(peers: list[Json], labels: Labels) -> bool:
    # Peers of other namespaces and blocks of addresses are not the release's own components.
    return not peers or any(
        "podSelector" in peer and "namespaceSelector" not in peer and _selects(peer["podSelector"], labels)
        for peer in peers
    )


def _port_matches(rules: list[Json], port: int, names: Ports) -> bool:
    return not rules or any(
        rule.get("port") is None or names.get(str(rule["port"]), rule["port"]) == port for rule in rules
    )


def _selects(selector: Json, labels: Labels) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_expression_holds(each, labels) for each in selector.get("matchExpressions", []))


def _expression_holds(expression: Json, labels: Labels) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(expression["operator"])
