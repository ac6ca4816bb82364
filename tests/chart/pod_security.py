"""The Pod Security Standard "restricted", checked on a pod's spec.

Written after the published standard (kubernetes.io, "Pod Security Standards"): the controls of "baseline" and those
that "restricted" adds. A field that is not set is judged as the kubelet would take it.
"""

from collections.abc import Iterator
from typing import Any

from tests.chart.chart import Object

__all__ = ["restricted_violations"]

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}
APPARMOR = {"RuntimeDefault", "Localhost"}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


def restricted_violations(template: Object) -> list[str]:
    """What keeps a pod out of a namespace that enforces "restricted": a sentence each, empty when nothing does.

    `template` has the `metadata` and the `spec` of the pod.
    """
    spec = template["spec"]
    return [
        *_of_the_pod(spec),
        *_of_annotations(template.get("metadata", {}).get("annotations") or {}),
        *(text for name, each in _containers(spec) for text in _of_a_container(name, each, _security(spec))),
    ]


def _security(holder: Object) -> Object:
    return holder.get("securityContext") or {}


def _containers(spec: Object) -> Iterator[tuple[str, Object]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for each in spec.get(kind) or []:
            yield each["name"], each


def _of_the_pod(spec: Object) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set"
    for volume in spec.get("volumes") or []:
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    security = _security(spec)
    for sysctl in security.get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']} is not a safe one"
    yield from _of_both("the pod", security)


def _of_annotations(annotations: dict[str, str]) -> Iterator[str]:
    for key, value in annotations.items():
        allowed = value == "runtime/default" or value.startswith("localhost/")
        if key.startswith(APPARMOR_ANNOTATION) and not allowed:
            yield f"AppArmor of {key.removeprefix(APPARMOR_ANNOTATION)} is {value}"


def _of_both(name: str, security: Object) -> Iterator[str]:
    """What holds for the security context of a pod as for a container's."""
    if security.get("runAsUser") == 0:
        yield f"{name} runs as root (runAsUser 0)"
    if (security.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{name} is a Windows host process"
    selinux: dict[str, Any] = security.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{name} sets SELinux options that are not allowed"
    profile = (security.get("appArmorProfile") or {}).get("type", "RuntimeDefault")
    if profile not in APPARMOR:
        yield f"AppArmor of {name} is {profile}"


def _of_a_container(name: str, container: Object, pod: Object) -> Iterator[str]:
    security = _security(container)
    yield from _of_both(name, security)
    if security.get("privileged"):
        yield f"{name} is privileged"
    if security.get("procMount", "Default") != "Default":
        yield f"{name} mounts /proc unmasked"
    if security.get("allowPrivilegeEscalation") is not False:
        yield f"{name} allows privilege escalation"
    if security.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name} may run as root (runAsNonRoot is not true)"
    seccomp = (security.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    if seccomp not in SECCOMP:
        yield f"seccomp of {name} is {seccomp or 'not set'}"
    capabilities = security.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield f"{name} does not drop all capabilities"
    for added in capabilities.get("add") or []:
        if added != "NET_BIND_SERVICE":
            yield f"{name} adds the capability {added}"
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"{name} takes the host's port {port['hostPort']}"
    probes = [container.get(f"{each}Probe") or {} for each in ("startup", "liveness", "readiness")]
    hooks = [(container.get("lifecycle") or {}).get(each) or {} for each in ("postStart", "preStop")]
    for action in probes + hooks:
        for kind in ("httpGet", "tcpSocket"):
            if (action.get(kind) or {}).get("host"):
                yield f"{name} probes another host"
