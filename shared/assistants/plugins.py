"""Systems that do not speak HTTP: what a plug-in brings, and what it is given.

A plug-in is a Python distribution that is installed beside Zhiyin and names a `Plugin` in the entry point group
`zhiyin.connectors`; `plugin: NAME` in `connectors/*.yml` chooses it. Everything else in the file means the same as for
HTTP: the path says what is asked, `query` and `body` with what, a status says how it went, `answer` what is read.

    [project.entry-points."zhiyin.connectors"]
    ledger = "acme_ledger:open_ledger"
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from shared.errors import ZhiyinError

__all__ = ["GROUP", "Call", "NotSent", "Plugin", "PluginContext", "Reply", "System"]

GROUP = "zhiyin.connectors"
"""The group of entry points in which a plug-in is found."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is asked of a system, within `seconds` from now.

    The values in `path` are percent-encoded. `once` means that repeating it may do harm.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: JsonValue = None
    seconds: float
    once: bool = False


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a system answered; statuses mean what they do in HTTP.

    `again_after` are seconds after which it may be asked again. `garbled` says why there is no body where there should
    be one.
    """

    status: int
    body: JsonValue = None
    again_after: float | None = None
    garbled: str | None = None


class NotSent(ZhiyinError):
    """The call has certainly not reached the system, so it may be made again. Any other error leaves that open."""


class System(Protocol):
    """A company's system, as it is called."""

    async def call(self, call: Call) -> Reply:
        """One call.

        Raises:
            NotSent: nothing has reached the system.
        """
        ...

    async def close(self) -> None:
        """Gives connections back."""
        ...


@dataclass(frozen=True, kw_only=True)
class PluginContext:
    """What a plug-in is given: who calls, the address of the system where there is one, and how to read a secret.

    `secret` takes the name of a secret of this assistant, and raises `NotSent` when there is none; secrets change while
    a program runs, so it is asked at every use.
    """

    tenant: str
    assistant: str
    connector: str
    url: str | None
    secret: Callable[[str], str]


Plugin = Callable[[PluginContext], System]
"""What the entry point names: makes the system of one connector, without waiting for anything."""
