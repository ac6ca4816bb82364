"""Ports of this machine: free ones, and who holds one that is taken."""

import secrets
import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress

import psutil

from cli.errors import EnvironmentUnfit

__all__ = ["free_ports", "require_free"]

BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports of the ephemeral range may be taken by any connection while their server is being restarted."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Different ports that nobody listens on now and that the system gives to no outgoing connection."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            # Not from `random`: processes that were seeded alike would draw the same ports.
            port = secrets.choice(BELOW_EPHEMERAL)
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind((host, port))
                found.append(port)
        return found


def require_free(host: str, ports: Iterable[tuple[int, str, str]]) -> None:
    """Checks that each (port, what it is for, its setting) can be listened on.

    Raises:
        EnvironmentUnfit: one cannot; says by which process it is taken and which setting moves it.
    """
    seen: dict[int, str] = {}
    for port, purpose, setting in ports:
        if port in seen:
            raise EnvironmentUnfit(
                f"Port {port} is set for both {seen[port]} and {purpose}; choose another with {setting}."
            )
        seen[port] = purpose
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                continue
            except PermissionError as error:
                reason = "may not be used by this user"
                cause: OSError = error
            except OSError as error:
                holder = holder_of(port)
                reason = f"is in use by {holder}" if holder else f"cannot be used ({error.strerror})"
                cause = error
        raise EnvironmentUnfit(
            f"Port {port} for {purpose} {reason}; stop that, or choose another with {setting}."
        ) from cause


def holder_of(port: int) -> str | None:
    """Which process listens on `port`, in words; `None` when nobody seems to."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return "another process"
    listeners = [
        each for each in connections if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    ]
    for each in listeners:
        if each.pid is not None:
            try:
                return f"{psutil.Process(each.pid).name()} (process {each.pid})"
            except psutil.Error:
                return f"process {each.pid}"
    return "a process of another user" if listeners else None
