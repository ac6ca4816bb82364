"""Releases in business: the service follows them, and the processes that perform actions read what it has on disk.

Those processes are forked by Celery and follow nothing themselves. Before an action they look whether something else is
remembered on the shelf of the worker, and load what the action names once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog

from services.business.connectors.assistants import Assistants
from services.business.connectors.effects import Effects
from services.business.connectors.lookups import Served
from services.business.rules.rules import Rules
from services.business.settings import Settings
from shared.contracts.releases import Release, ReleaseAlias
from shared.releases.reports import reason_of
from shared.releases.shelf import Shelf

__all__ = [
    "KEPT_SECONDS",
    "LINGER_SECONDS",
    "FindsReleases",
    "FollowedAssistants",
    "KeptAssistants",
    "ShelvedAssistants",
    "TakesReleases",
    "shelf_of",
    "shelved_effects",
]

log = structlog.get_logger(__name__)

LIVE = "production"
LINGER_SECONDS = 120.0
"""So long a turn that began with a release may still look something up with it."""
KEPT_SECONDS = 900.0
"""So long the worker keeps one for the actions that were asked for with it; later ones are the live one's."""


class TakesReleases(Protocol):
    """What serves the releases of assistants."""

    def add(self, tenant: str, assistant: str, release: str, folder: Path) -> None:
        """Takes a release that serves whoever names it; raises, and changes nothing, where it cannot be used."""

    def make_live(self, tenant: str, assistant: str, release: str | None) -> None:
        """From now on a release serves whoever names none."""

    def forget(self, tenant: str, assistant: str, release: str) -> None:
        """Lets a release go."""


class FindsReleases(TakesReleases, Protocol):
    """What serves them, and gives the one that is asked for."""

    @property
    def own(self) -> str:
        """The name of the installation's own assistant."""

    def find(self, tenant: str, assistant: str | None, release: str | None) -> Served | None:
        """The release that is asked for, or else the live one; None when there is neither."""


@asynccontextmanager
async def shelved_effects(settings: Settings) -> AsyncIterator[Effects]:
    """What makes the effects of assistants in a process that performs actions; to be opened in its loop."""
    assistants = Assistants(settings, lambda folder: Rules(folder, changes=folder == settings.rules_dir))
    try:
        yield Effects(ShelvedAssistants(assistants, shelf_of(settings, "worker")))
    finally:
        await assistants.close()


def shelf_of(settings: Settings, service: str) -> Shelf:
    """Where `business` or `worker` keeps releases."""
    return Shelf(settings.home / "data" / "releases" / service)


class FollowedAssistants:
    """Brings assistants to what releases name, as a follower calls it."""

    def __init__(self, assistants: TakesReleases) -> None:
        self._assistants = assistants

    async def load(self, release: Release, folder: Path) -> None:
        """Reads and checks a release's connectors and rules in a thread.

        Raises:
            ConfigurationError: something in it is wrong.
        """
        await asyncio.to_thread(self._assistants.add, release.tenant, release.assistant, release.id, folder)

    def serve(self, aliases: Sequence[ReleaseAlias]) -> None:
        """From now on these serve whoever names no release; a canary serves only who names it."""
        for alias in aliases:
            if alias.alias == LIVE:
                self._assistants.make_live(alias.release.tenant, alias.release.assistant, alias.release.id)

    def forget(self, release: Release) -> None:
        """Lets a release go."""
        self._assistants.forget(release.tenant, release.assistant, release.id)


class KeptAssistants:
    """What the worker's own process does with releases: it keeps them on its shelf for those that perform actions."""

    async def load(self, release: Release, folder: Path) -> None:
        """Business has loaded it, or no alias names it."""

    def serve(self, aliases: Sequence[ReleaseAlias]) -> None:
        """What serves is remembered on the shelf."""

    def forget(self, release: Release) -> None:
        """The shelf is swept."""


class ShelvedAssistants:
    """Brings the assistants of one process to what the worker's shelf holds, as far as its actions need them."""

    def __init__(self, assistants: FindsReleases, shelf: Shelf) -> None:
        self._assistants = assistants
        self._shelf = shelf
        self._written = 0
        self._known: dict[str, Release] = {}
        self._live: dict[tuple[str, str], Release] = {}
        self._loaded: dict[str, Release] = {}

    @property
    def own(self) -> str:
        """The name of the installation's own assistant."""
        return self._assistants.own

    def find(self, tenant: str, assistant: str | None, release: str | None) -> Served | None:
        """The release that an action names, or else the live one, loaded where it was not; None when there is neither.

        To be called on the event loop of a process that has nothing else to do meanwhile.
        """
        self._bring(tenant, assistant or self._assistants.own, release)
        return self._assistants.find(tenant, assistant, release)

    def _bring(self, tenant: str, assistant: str, release: str | None) -> None:
        self._look()
        live = self._live.get((tenant, assistant))
        if live is not None and self._load(live):
            self._assistants.make_live(tenant, assistant, live.id)
        named = self._known.get(release or "")
        if named is not None and (named.tenant, named.assistant) == (tenant, assistant):
            self._load(named)

    def _look(self) -> None:
        written = self._shelf.written()
        if written == self._written:
            return
        try:
            remembered = self._shelf.recall()
        except ValueError as error:
            log.warning("releases_not_recalled", error=str(error))
            return
        self._written = written
        releases = [*(alias.release for alias in remembered.aliases), *remembered.kept]
        self._known = {release.id: release for release in releases}
        self._live = {
            (alias.release.tenant, alias.release.assistant): alias.release
            for alias in remembered.aliases
            if alias.alias == LIVE
        }
        for identity in [each for each in self._loaded if each not in self._known]:
            gone = self._loaded.pop(identity)
            self._assistants.forget(gone.tenant, gone.assistant, gone.id)

    def _load(self, release: Release) -> bool:
        """Whether the release is there; the worker has loaded it before it put it on the shelf."""
        if release.id in self._loaded:
            return True
        folder = self._shelf.place(release.bundle)
        try:
            self._assistants.add(release.tenant, release.assistant, release.id, folder)
        except Exception as error:
            log.error("release_not_loaded", release=release.id, reason=reason_of(error, folder))
            return False
        self._loaded[release.id] = release
        return True
