"""Every pod of the chart fits the Pod Security Standard "restricted", and the check catches what does not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.chart.chart import Object, pod_template
from tests.chart.pod_security import restricted_violations
from tests.chart.variants import VARIANTS, rendered

GOOD: Object = {
    "metadata": {},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}


def change(path: str, value: Any) -> Callable[[Object], None]:
    """Sets the field at a path of keys and indices; `...` removes it."""

    def apply(pod: Object) -> None:
        *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        holder: Any = pod
        for part in above:
            holder = holder[part] if isinstance(part, int) else holder.setdefault(part, {})
        if value is ...:
            del holder[last]
        else:
            holder[last] = value

    return apply


MAIN = "spec.containers.0"
BAD = {
    "may run as root": change("spec.securityContext.runAsNonRoot", ...),
    "main may run as root": change(f"{MAIN}.securityContext.runAsNonRoot", False),
    "runs as root": change("spec.securityContext.runAsUser", 0),
    "main runs as root": change(f"{MAIN}.securityContext.runAsUser", 0),
    "seccomp of main is not set": change("spec.securityContext.seccompProfile", ...),
    "seccomp of main is Unconfined": change(f"{MAIN}.securityContext.seccompProfile", {"type": "Unconfined"}),
    "allows privilege escalation": change(f"{MAIN}.securityContext.allowPrivilegeEscalation", ...),
    "does not drop all": change(f"{MAIN}.securityContext.capabilities", {"drop": ["NET_RAW"]}),
    "adds the capability SYS_PTRACE": change(f"{MAIN}.securityContext.capabilities.add", ["SYS_PTRACE"]),
    "is privileged": change(f"{MAIN}.securityContext.privileged", True),
    "mounts /proc unmasked": change(f"{MAIN}.securityContext.procMount", "Unmasked"),
    "hostNetwork is set": change("spec.hostNetwork", True),
    "hostPID is set": change("spec.hostPID", True),
    "hostIPC is set": change("spec.hostIPC", True),
    "volume host is a hostPath": change("spec.volumes", [{"name": "host", "hostPath": {"path": "/"}}]),
    "volume disk is a nfs": change("spec.volumes", [{"name": "disk", "nfs": {"server": "a", "path": "/"}}]),
    "host's port 80": change(f"{MAIN}.ports", [{"containerPort": 80, "hostPort": 80}]),
    "sysctl kernel.msgmax": change("spec.securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    "SELinux": change(f"{MAIN}.securityContext.seLinuxOptions", {"type": "spc_t"}),
    "AppArmor of main is unconfined": change(
        "metadata.annotations", {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"}
    ),
    "AppArmor of the pod is Unconfined": change("spec.securityContext.appArmorProfile", {"type": "Unconfined"}),
    "Windows host process": change("spec.securityContext.windowsOptions", {"hostProcess": True}),
    "probes another host": change(f"{MAIN}.livenessProbe", {"httpGet": {"host": "10.0.0.1", "port": 80}}),
    "init allows privilege escalation": change("spec.initContainers", [{"name": "init"}]),
}


def test_a_pod_that_fits_has_no_violation() -> None:
    assert restricted_violations(GOOD) == []


@pytest.mark.parametrize("said", BAD)
def test_the_check_catches_it(said: str) -> None:
    pod = copy.deepcopy(GOOD)
    BAD[said](pod)
    assert [text for text in restricted_violations(pod) if said in text]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_fits(variant: str) -> None:
    workloads = rendered(variant).workloads()
    assert workloads
    found = {
        each["metadata"]["name"]: violations
        for each in workloads
        if (violations := restricted_violations(pod_template(each)))
    }
    assert found == {}
