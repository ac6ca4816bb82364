"""Follows learning's releases: what aliases name is fetched, verified, loaded beside what is live, and swapped in.

Whatever fails, nothing is half live: the last good release of an assistant serves until a later one is loaded as a
whole. What is served is remembered on disk, so a start needs no learning. A release that is to be proven is loaded as
well, and learning told how that went.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from weakref import WeakValueDictionary

import structlog
from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from shared.assistants.bundle import MAX_BUNDLE_BYTES
from shared.calls.client import ServiceClient
from shared.contracts.releases import Following, Release, ReleaseAlias
from shared.errors import Problem, Unavailable, ZhiyinError
from shared.releases.reports import AWAY, LEARNING, Reports, reason_of
from shared.releases.shelf import Remembered, Shelf, WrongDigest
from shared.settings import ServiceSettings

__all__ = ["LOOP", "Follower", "Serves", "has_learning"]

log = structlog.get_logger(__name__)

LOOP = "releases"
"""The name by which the loop reports to health."""
FOLLOWED = ("production", "canary")
WAIT_SECONDS = 20.0
ASK_SECONDS = 5.0
FETCH_SECONDS = 60.0
"""For a bundle of the largest size over a slow network."""
START_SECONDS = 20.0
"""So long a start waits for the releases that it has to load; the others follow while it serves."""
BEAT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.5
MOST_PAUSE_SECONDS = 15.0
MOST_TRIES = 4
"""So often this machine may fail to keep or read a release that is to be proven, until that is said to learning."""
LOADS_AT_ONCE = 2

ASKED = Counter("zhiyin_releases_asked_total", "How asking learning for releases ended", ["outcome"])
LOADS = Counter("zhiyin_releases_loads_total", "How loading releases ended", ["outcome"])
SWAPS = Counter("zhiyin_releases_swaps_total", "Changes of which releases serve")
LOADED = Gauge("zhiyin_releases_loaded", "Releases in memory")
BEHIND = Gauge("zhiyin_releases_behind", "Aliases that name a release which does not serve here")
for _outcome in ("ok", "failed"):
    ASKED.labels(_outcome)
for _outcome in ("loaded", "refused", "failed"):
    LOADS.labels(_outcome)

Key = tuple[str, str, str]
"""Tenant, assistant and alias."""


class Serves(Protocol):
    """What a service does with releases; called on the event loop of the follower."""

    async def load(self, release: Release, folder: Path) -> None:
        """Makes a release ready to serve, whose verified files are in the folder, off the event loop.

        Raises:
            Unavailable: somebody who is needed for it is away; it is tried again.
            Exception: it cannot be served; the message says why.
        """

    def serve(self, aliases: Sequence[ReleaseAlias]) -> None:
        """From now on these are what serves, all of them loaded; an alias that is missing is of no use any more."""

    def forget(self, release: Release) -> None:
        """A release that was loaded is not needed any more."""


@dataclass
class _Tried:
    """How often loading a release failed, when it is tried again, and why it never will be."""

    tries: int = 0
    failures: int = 0
    """Those that were this machine's or the bundle's fault, and not that somebody was away."""
    again_at: float = 0.0
    refused: str = ""


@dataclass
class Follower:
    """Keeps a service at what learning's aliases name.

    Args:
        service: its name in reports.
        shelf: where it keeps releases.
        client: calls learning.
        follows: whether the installation has a learning; without one there is nothing to do.
        proves: whether learning is told how loading what is to be proven went; otherwise none of it is loaded.
        linger_seconds: for so long a release that is not served any more is kept for what began with it.
        beat: called whenever the loop turns.
    """

    service: str
    instance: str
    shelf: Shelf
    serves: Serves
    client: ServiceClient
    follows: bool = True
    proves: bool = True
    linger_seconds: float = 0.0
    beat: Callable[[], None] = lambda: None
    _told: Following | None = None
    _good: dict[Key, ReleaseAlias] = field(default_factory=dict)
    """What served last by its alias, in this process or before it."""
    _serving: list[ReleaseAlias] = field(default_factory=list)
    _loaded: dict[str, Release] = field(default_factory=dict)
    _unneeded_since: dict[str, float] = field(default_factory=dict)
    _tried: dict[str, _Tried] = field(default_factory=dict)
    _loading: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _remembered: Remembered | None = None
    _failures: int = 0

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(LOADS_AT_ONCE)
        self._obtaining: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reports = Reports(self.client, self.service, self.instance, self._pause)

    async def begin(self) -> None:
        """Serves what served last on this machine, or else what learning names now, where it answers soon."""
        if not self.follows:
            return
        try:
            known = await asyncio.to_thread(self.shelf.recall)
        except ValueError as error:
            log.warning("releases_not_recalled", error=str(error))
            known = Remembered()
        self._good = {_key(alias): alias for alias in known.aliases}
        named: Sequence[ReleaseAlias] = known.aliases
        if not named and (told := await self._ask(wait=0)) is not None:
            named = told.aliases
        # Without a cursor: what is to be proven is asked for later.
        self._told = Following(cursor="", aliases=named)
        until = asyncio.get_running_loop().time() + START_SECONDS
        await self._settle()
        while self._loading and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._loading.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            await self._settle(starting=False)

    async def run(self) -> None:
        """Follows until it is cancelled."""
        if not self.follows:
            return
        asking = asyncio.create_task(self._ask(wait=WAIT_SECONDS))
        try:
            while True:
                self.beat()
                await asyncio.wait(
                    {asking, *self._loading.values()},
                    timeout=min(BEAT_SECONDS, self._soonest()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if asking.done():
                    told = asking.result()
                    self._told = told or self._told
                    pause = 0.0 if told is not None else self._pause(self._failures)
                    asking = asyncio.create_task(self._ask(wait=WAIT_SECONDS, pause=pause))
                try:
                    await self._settle()
                except Exception as error:
                    # What goes wrong once must not end it.
                    log.error("releases_not_followed", error=type(error).__name__, exc_info=error)
                    await asyncio.sleep(FIRST_PAUSE_SECONDS)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def close(self) -> None:
        """Gives up what is under way; what serves goes on serving."""
        for task in self._loading.values():
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        await self._reports.close()

    async def _ask(self, *, wait: float, pause: float = 0.0) -> Following | None:
        """What there is to follow; with a cursor, once it is something else or the time is over."""
        await asyncio.sleep(pause)
        cursor = "" if self._told is None else self._told.cursor
        query = f"?after={quote(cursor, safe='')}&wait={wait:g}" if cursor else ""
        try:
            answer = await self.client.call(
                LEARNING, "GET", f"/v1/following{query}", deadline=wait + ASK_SECONDS, retry=False
            )
            told = self._told if answer is None else Following.model_validate(answer)
        except (ZhiyinError, ValidationError, KeyError, TypeError) as error:
            ASKED.labels("failed").inc()
            self._failures += 1
            if self._failures == 1:
                log.warning("learning_does_not_answer", error=type(error).__name__)
            return None
        ASKED.labels("ok").inc()
        self._failures = 0
        return told

    async def _settle(self, *, starting: bool = True) -> None:
        """Takes up what was loaded, begins what is to be loaded, and lets go of what is not needed any more."""
        for identity, task in list(self._loading.items()):
            if task.done():
                del self._loading[identity]
                task.result()
        told = self._told
        if told is None:
            return
        named = {_key(alias): alias for alias in told.aliases if alias.alias in FOLLOWED}
        wanted = {alias.release.id: alias.release for alias in (*named.values(), *self._good.values())}
        proving = {release.id: release for release in told.proving} if self.proves else {}
        if starting:
            for release in {**wanted, **proving}.values():
                self._begin_load(release)
        await self._swap(named)
        serving = {_mark(alias) for alias in self._serving}
        BEHIND.set(sum(_mark(alias) not in serving for alias in named.values()))
        refused = {identity: each.refused for identity, each in self._tried.items() if each.refused}
        self._reports.tell(proving, loaded=self._loaded, refused=refused)
        # What is good now may be what was wanted only for want of it.
        needed = {alias.release.id for alias in (*named.values(), *self._good.values())} | proving.keys()
        for identity in [each for each in self._tried if each not in needed]:
            del self._tried[identity]
        await self._let_go(told, needed)

    async def _swap(self, named: Mapping[Key, ReleaseAlias]) -> None:
        good = dict(self._good)
        for key, alias in named.items():
            if alias.release.id in self._loaded:
                good[key] = alias
        # Production is never taken away, only moved: a learning that knows nothing has lost something.
        for key in [each for each in good if each[2] != "production"]:
            if key not in named or named[key].release.id != good[key].release.id:
                del good[key]
        self._good = good
        serving = [alias for alias in good.values() if alias.release.id in self._loaded]
        if [_mark(alias) for alias in serving] == [_mark(alias) for alias in self._serving]:
            return
        self.serves.serve(serving)
        self._serving = serving
        SWAPS.inc()
        for alias in serving:
            log.info(
                "release_serves", tenant=alias.release.tenant, assistant=alias.release.assistant, alias=alias.alias,
                release=alias.release.id,
            )  # fmt: skip

    async def _let_go(self, told: Following, needed: set[str]) -> None:
        """Forgets releases that nobody needs, remembers the others, and clears the disk of what is not needed."""
        moment = asyncio.get_running_loop().time()
        for identity, release in list(self._loaded.items()):
            if identity in needed:
                self._unneeded_since.pop(identity, None)
            elif moment - self._unneeded_since.setdefault(identity, moment) >= self.linger_seconds:
                del self._loaded[identity], self._unneeded_since[identity]
                self.serves.forget(release)
        LOADED.set(len(self._loaded))
        served = {alias.release.id for alias in self._good.values()}
        others = [release for release in self._loaded.values() if release.id not in served]
        remembered = Remembered(aliases=tuple(self._good.values()), kept=tuple(others))
        if remembered == self._remembered:
            return
        try:
            await asyncio.to_thread(self.shelf.remember, remembered)
        except OSError as error:
            log.error("releases_not_remembered", error=error.strerror)
            return
        self._remembered = remembered
        known = [*self._loaded.values(), *(alias.release for alias in (*self._good.values(), *told.aliases))]
        keep = {release.bundle for release in (*known, *told.proving)}
        await asyncio.to_thread(self.shelf.sweep, keep)

    # Loading

    def _begin_load(self, release: Release) -> None:
        tried = self._tried.get(release.id)
        if release.id in self._loaded or release.id in self._loading:
            return
        if tried is not None and (tried.refused or tried.again_at > asyncio.get_running_loop().time()):
            return
        self._loading[release.id] = asyncio.create_task(self._load(release), name=f"release-{release.id}")

    async def _load(self, release: Release) -> None:
        """Has a release fetched and loaded; how that failed is kept for the next try."""
        tried = self._tried.setdefault(release.id, _Tried())
        tried.tries += 1
        folder = self.shelf.place(release.bundle)
        outcome = "failed"
        try:
            async with self._places:
                await self._obtain(release)
                await self.serves.load(release, folder)
        except AWAY as error:
            reason = str(error)
        except (WrongDigest, OSError) as error:
            tried.failures += 1
            reason = reason_of(error, folder)
            if tried.failures >= MOST_TRIES and self._is_proven(release):
                tried.refused = reason
        except Exception as error:
            outcome, reason = "refused", reason_of(error, folder)
            tried.refused = reason
            if not isinstance(error, ZhiyinError | ValueError):
                log.error("release_failed", release=release.id, error=type(error).__name__, exc_info=error)
        else:
            LOADS.labels("loaded").inc()
            self._tried.pop(release.id, None)
            self._loaded[release.id] = release
            return
        LOADS.labels(outcome).inc()
        tried.again_at = asyncio.get_running_loop().time() + self._pause(tried.tries)
        log.warning(
            "release_not_loaded", tenant=release.tenant, assistant=release.assistant, release=release.id,
            outcome=outcome, reason=reason,
        )  # fmt: skip

    async def _obtain(self, release: Release) -> None:
        """Brings the files of a release to their folder, unless they are there as they should be.

        Raises:
            Unavailable: learning does not give them now.
            WrongDigest: it gives something else.
            OSError: they cannot be kept.
        """
        # Two releases may have the same files; what one of them reads the other must not replace.
        async with self._obtaining.setdefault(release.bundle, asyncio.Lock()):
            await self._fetch_unless_sound(release)

    async def _fetch_unless_sound(self, release: Release) -> None:
        if await asyncio.to_thread(self.shelf.sound, release.bundle):
            return
        try:
            data = await self.client.get_bytes(
                LEARNING, f"/v1/bundles/{release.bundle}", most=MAX_BUNDLE_BYTES, deadline=FETCH_SECONDS,
                tenant=release.tenant,
            )  # fmt: skip
        except Problem as error:
            # Whatever it answers: a bundle that is named is there, or will be.
            raise Unavailable(f"learning does not give the bundle: {error.detail}") from error
        await asyncio.to_thread(self.shelf.put, release.bundle, data)

    def _is_proven(self, release: Release) -> bool:
        return self._told is not None and any(each.id == release.id for each in self._told.proving)

    # Times

    def _soonest(self) -> float:
        """Seconds until a release is to be tried again."""
        moment = asyncio.get_running_loop().time()
        waiting = [each.again_at - moment for each in self._tried.values() if not each.refused and each.again_at]
        lingering = [since + self.linger_seconds - moment for since in self._unneeded_since.values()]
        return max(0.01, min([BEAT_SECONDS, *(each for each in (*waiting, *lingering) if each > 0)]))

    @staticmethod
    def _pause(failures: int) -> float:
        return min(MOST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10)) * random.uniform(0.7, 1.0)


def has_learning(settings: ServiceSettings) -> bool:
    """Whether the installation has a learning that this service may ask."""
    return bool(settings.client_id) and (settings.registry != "static" or LEARNING in settings.static_services)


def _mark(alias: ReleaseAlias) -> tuple[Key, str, float]:
    """All of an alias that serving depends on."""
    return _key(alias), alias.release.id, alias.share


def _key(alias: ReleaseAlias) -> Key:
    return alias.release.tenant, alias.release.assistant, alias.alias
