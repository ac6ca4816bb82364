"""Which assistants business serves: of each tenant's assistants the releases, and which of them is live.

The folder of the settings is the release without a name, that of before any other, and belongs to the installation's
own tenant. Releases that reach a system in the same way share its connections, its limits and its breaker.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import structlog

from services.business.connectors.guard import Guard
from services.business.connectors.http_system import HttpSystem
from services.business.connectors.lookups import Rules, Served
from services.business.connectors.plugin import open_plugin
from services.business.connectors.secrets import Secrets
from services.business.settings import ConnectorSettings, Settings
from shared.assistants.connector_checks import check_connectors
from shared.assistants.connectors import Connector, read_connectors
from shared.assistants.plugins import PluginContext
from shared.assistants.yaml_source import Mistakes
from shared.errors import ConfigurationError
from shared.nlu.assistant_files import load_manifest

__all__ = ["BUILT_IN", "Assistants"]

log = structlog.get_logger(__name__)

BUILT_IN = ""
"""The release that is the folder of the settings."""
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
NOTHING = ConnectorSettings()

Key = tuple[str, str, str]


@dataclass
class _Shared:
    """A system and how many releases use it."""

    guard: Guard
    users: int = 0


class Assistants:
    """The releases that business serves; `add` may be called from any thread, the rest on the event loop.

    Args:
        rules: reads the folder of an assistant's rules.

    Raises:
        ConfigurationError: the assistant of the settings cannot be used; the message says where and why.
    """

    def __init__(
        self, settings: Settings, rules: Callable[[Path], Rules], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._secrets = Secrets(settings.secrets_dir, environment)
        self._lock = threading.Lock()
        self._releases: dict[Key, tuple[Served, tuple[str, ...]]] = {}
        self._live: dict[tuple[str, str], str] = {}
        self._systems: dict[str, _Shared] = {}
        self._unused: list[Guard] = []
        self._closing: set[asyncio.Task[None]] = set()
        folder = settings.assistant
        self.own = load_manifest(folder).name if (folder / "assistant.yml").exists() else folder.name
        """The name of the installation's own assistant."""
        if (folder / "connectors").is_dir():
            self.add(settings.tenant, self.own, BUILT_IN, folder)
            self.make_live(settings.tenant, self.own, BUILT_IN)

    def add(self, tenant: str, assistant: str, release: str, folder: Path) -> None:
        """Takes a release, whose connectors and rules are in a folder; it serves whoever names it.

        Raises:
            ConfigurationError: it cannot be used; a line for each mistake, and nothing has changed.
        """
        mistakes = Mistakes()
        files = read_connectors(folder, lambda path: str(path.relative_to(folder)), mistakes)
        check_connectors(files, folder, mistakes)
        rules = self._rules(folder / "rules")
        with self._lock:
            guards: dict[str, tuple[str, Guard]] = {}
            fresh: dict[str, _Shared] = {}
            for name, connector in files.connectors.items():
                try:
                    key, shared = self._system(tenant, assistant, connector)
                except ConfigurationError as error:
                    mistakes.add(files.documents[name].where("connector"), str(error))
                    continue
                fresh[key] = shared
                guards[name] = (key, shared.guard)
            mistakes.raise_if_any()
            served = Served(
                tenant=tenant,
                assistant=assistant,
                release=release,
                lookups={
                    name: (guards[each.connector][1], each, part) for name, (each, part) in files.lookups().items()
                },
                actions={
                    name: (guards[each.connector][1], each, part) for name, (each, part) in files.actions().items()
                },
                rules=rules,
            )
            before = self._releases.get((tenant, assistant, release))
            self._releases[tenant, assistant, release] = (served, tuple(fresh))
            self._systems |= fresh
            for shared in fresh.values():
                shared.users += 1
            if before is not None:
                self._leave(before[1])
        log.info("assistant_added", tenant=tenant, assistant=assistant, release=release, connectors=len(guards))

    def make_live(self, tenant: str, assistant: str, release: str | None) -> None:
        """From now on a release serves whoever names none; `None` leaves that to the built-in one, where there is one.

        Raises:
            KeyError: the release was not added.
        """
        release = BUILT_IN if release is None else release
        if (tenant, assistant, release) in self._releases:
            self._live[tenant, assistant] = release
        elif release == BUILT_IN:
            self._live.pop((tenant, assistant), None)
        else:
            raise KeyError(release)

    def forget(self, tenant: str, assistant: str, release: str) -> None:
        """Lets a release go; when it was live, the built-in one is again, where there is one."""
        with self._lock:
            gone = self._releases.pop((tenant, assistant, release), None)
            if gone is not None:
                self._leave(gone[1])
            unused, self._unused = self._unused, []
        if self._live.get((tenant, assistant)) == release:
            self.make_live(tenant, assistant, None)
        for guard in unused:
            task = asyncio.get_running_loop().create_task(guard.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def find(self, tenant: str, assistant: str | None, release: str | None) -> Served | None:
        """The release that is asked for, or else the live one; `None` when there is neither."""
        assistant = assistant or self.own
        found = None if release is None else self._releases.get((tenant, assistant, release))
        if found is None:
            live = self._live.get((tenant, assistant))
            found = None if live is None else self._releases.get((tenant, assistant, live))
        return None if found is None else found[0]

    async def close(self) -> None:
        """Gives every connection back."""
        guards = [*self._unused, *(each.guard for each in self._systems.values())]
        await asyncio.gather(*self._closing, *(each.close() for each in guards))

    def _leave(self, keys: tuple[str, ...]) -> None:
        """Takes a release's use of its systems back."""
        for key in keys:
            shared = self._systems[key]
            shared.users -= 1
            if not shared.users:
                self._unused.append(self._systems.pop(key).guard)

    def _system(self, tenant: str, assistant: str, connector: Connector) -> tuple[str, _Shared]:
        """The system of a connector: one that is there already, or a new one."""
        said = self._said(tenant, assistant, connector.connector)
        url = said.url or connector.url
        how = connector.model_dump_json(exclude={"title", "lookups", "actions"})
        key = f"{tenant}/{assistant} {url} {how}"
        if key in self._systems:
            return key, self._systems[key]
        secret = partial(self._secrets.read, tenant, assistant)
        if connector.plugin is not None:
            context = PluginContext(
                tenant=tenant, assistant=assistant, connector=connector.connector, url=url, secret=secret
            )
            return key, _Shared(Guard(connector, open_plugin(connector.plugin, context)))
        if url is None:
            name = f"{assistant}.{connector.connector}"
            name = name if tenant == self._settings.tenant else f"{tenant}/{name}"
            raise ConfigurationError(f"there is no `url` here, nor under '{name}' in ZHIYIN_CONNECTORS")
        development = self._settings.environment == "development"
        networks = (*said.networks, *(LOOPBACK if development else ()))
        return key, _Shared(Guard(connector, HttpSystem(connector, url, networks=networks, secret=secret)))

    def _said(self, tenant: str, assistant: str, connector: str) -> ConnectorSettings:
        """What the settings say of a connector; without a tenant they speak of the installation's own."""
        settings = self._settings.connectors
        name = f"{assistant}.{connector}"
        found = settings.get(f"{tenant}/{name}")
        if found is None and tenant == self._settings.tenant:
            found = settings.get(name)
        return found or NOTHING
