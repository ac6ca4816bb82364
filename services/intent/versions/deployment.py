"""What serves one name: the version in production beside a canary and a shadow, and whether they do well."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from services.intent.kinds.kind import AnyModel, Verdict
from services.intent.settings import Settings
from services.intent.versions.comparison import Mirror
from services.intent.versions.live import LiveModel
from services.intent.versions.model_registry import CANARY, PRODUCTION, SHADOW, Registered
from services.intent.versions.version_metrics import Role, answered
from shared.errors import NotFound, Problem

__all__ = ["Breach", "Deployment", "Lease", "Refusal"]

FEWEST_CALLS = 20
FEWEST_ERRORS = 3
ERROR_SHARE = 0.05
FEWEST_COMPARED = 30
LOST_CONFIDENCE = 0.15
SLACK_SECONDS = 0.05
"""Differences of this size come from the load and not from the model."""


@dataclass(frozen=True)
class Refusal:
    """A version that an alias names and that is not served, and why."""

    alias: str
    registered: Registered
    reason: str


@dataclass(frozen=True)
class Breach:
    """A version that has to go, and why."""

    alias: str
    reason: str


@dataclass(eq=False)
class Deployment:
    """The loaded versions of one name; `previous` can come back as long as production is watched."""

    name: str
    settings: Settings
    mirror: Mirror
    retire: Callable[[LiveModel], None]
    production: LiveModel | None = None
    canary: LiveModel | None = None
    shadow: LiveModel | None = None
    previous: LiveModel | None = None
    refusals: dict[str, Refusal] = field(default_factory=dict)
    registered: dict[str, Registered] = field(default_factory=dict)
    """By alias: what it last named."""
    released: dict[str, LiveModel] = field(default_factory=dict)
    """By version: what releases have that are live or proven; each may be asked for by name."""
    used_at: float = 0.0
    watched_until: float = 0.0

    def loaded(self) -> list[LiveModel]:
        """The versions in memory, each once."""
        every = (self.production, self.canary, self.shadow, self.previous, *self.released.values())
        return list(dict.fromkeys(each for each in every if each is not None))

    @property
    def size(self) -> int:
        """The bytes that the versions in memory take."""
        return sum(each.size for each in self.loaded())

    @property
    def used(self) -> bool:
        """Whether somebody is using one of the versions."""
        return any(each.used for each in self.loaded())

    def put_in_production(self, live: LiveModel, *, watch: bool) -> None:
        """Serves a version from now on; the one before is kept while the new one is watched."""
        before, self.production = self.production, live
        if before is None or before is live:
            return
        if watch and self.settings.watch_seconds:
            # Where the one before was itself still watched, the last that did well is what to come back to.
            if self.previous is None:
                self.previous = before
            else:
                self._let_go(before)
            self.watched_until = time.monotonic() + self.settings.watch_seconds
        else:
            self._let_go(before)
            self.settle()

    @property
    def watch_is_over(self) -> bool:
        """Whether what is in production was watched for long enough."""
        return self.previous is not None and time.monotonic() >= self.watched_until

    def settle(self) -> None:
        """Ends the watch: what is in production is good."""
        previous, self.previous = self.previous, None
        if previous is not None:
            self._let_go(previous)

    def roll_back(self) -> None:
        """Serves the version before again."""
        if self.previous is None or self.production is None:
            return
        bad, self.production, self.previous = self.production, self.previous, None
        self.released = {version: live for version, live in self.released.items() if live is not bad}
        self._let_go(bad)

    def at(self, alias: str) -> LiveModel | None:
        """The version that serves as what an alias names."""
        return {PRODUCTION: self.production, CANARY: self.canary, SHADOW: self.shadow}[alias]

    def place(self, alias: str, live: LiveModel | None) -> None:
        """Puts a version beside production as its canary or shadow, or takes it away."""
        before = self.at(alias)
        if alias == CANARY:
            self.canary = live
        else:
            self.shadow = live
        if before is not None:
            self._let_go(before)

    def hold(self, live: LiveModel) -> None:
        """Keeps a version of a release, which may be asked for by name from now on."""
        before = self.released.get(live.version)
        self.released[live.version] = live
        if before is not None and before is not live:
            self._let_go(before)

    def release(self, version: str) -> None:
        """No release needs this version any more."""
        live = self.released.pop(version, None)
        if live is not None:
            self._let_go(live)

    def named(self, version: str) -> LiveModel | None:
        """The version as releases ask for it: one that they hold, in production, or before it as long as it is kept."""
        kept = (self.production, self.previous)
        return self.released.get(version) or next((each for each in kept if each and each.version == version), None)

    def _let_go(self, live: LiveModel) -> None:
        if live not in self.loaded():
            self.retire(live)

    def unload(self) -> None:
        """Gives every version's memory back."""
        loaded = self.loaded()
        self.production = self.canary = self.shadow = self.previous = None
        self.released = {}
        for each in loaded:
            self.retire(each)

    def breach(self) -> Breach | None:
        """What has to go now: a production that does worse than the one before, or a canary worse than production."""
        if self.previous is not None and self.production is not None:
            reason = self._worse(self.production, self.previous)
            if reason:
                return Breach(PRODUCTION, reason)
        if self.canary is not None and self.production is not None:
            reason = self._worse(self.canary, self.production) or self._disagrees(self.canary)
            if reason:
                return Breach(CANARY, reason)
        return None

    def lease(
        self, key: str | None, version: str | None = None, caller: str = "", *, or_production: bool = False
    ) -> "Lease":
        """The way of one request; `key` decides whether it is of the canary's or the shadow's share.

        Args:
            version: the only one that is wanted.
            caller: who asks; callers have equal shares of a busy model.
            or_production: the version is a release's; where it is gone, what is in production answers.

        Raises:
            NotFound: that version is not loaded.
        """
        self.used_at = time.monotonic()
        alone = self.canary is None and self.shadow is None
        place = None if key is None or alone else _place(self.name, key)
        if or_production and version is not None:
            if (named := self.named(version)) is not None:
                return Lease(self, named, "production", place, caller)
            version = None
        live, role = self._chosen(place, version)
        return Lease(self, live, role, place, caller)

    def mirrored(self, lease: "Lease", questions: Sequence[Any], verdicts: Sequence[Verdict]) -> None:
        """Has what was answered compared, where it belongs to a share."""
        if lease.role == "canary":
            if self.production is not None:
                self.mirror.ask(self.name, "canary", questions, verdicts, judged=lease.live, other=self.production)
        elif self.shadow is not None and lease.place is not None and lease.place >= 1 - self.settings.shadow_share:
            self.mirror.ask(self.name, "shadow", questions, verdicts, judged=self.shadow, other=self.shadow)

    def _chosen(self, place: float | None, version: str | None) -> tuple[LiveModel, Role]:
        if self.canary is not None:
            shared = version is None and place is not None and place < self.settings.canary_share
            if shared or self.canary.version == version:
                return self.canary, "canary"
        if self.production is None or version not in (None, self.production.version):
            raise NotFound(f"no version {version!r} of the model {self.name!r} is served here")
        return self.production, "production"

    def _worse(self, live: LiveModel, than: LiveModel) -> str | None:
        calls = live.answered + live.errors
        if live.errors >= FEWEST_ERRORS and live.errors > calls * ERROR_SHARE:
            return f"{live.errors} of {calls} calls failed"
        if min(len(live.seconds), len(than.seconds)) < FEWEST_CALLS:
            return None
        now, before = live.typical_seconds or 0.0, than.typical_seconds or 0.0
        if now > max(before * self.settings.max_slowdown, before + SLACK_SECONDS):
            return f"a call takes {now:.3f} s, with {than.version} it takes {before:.3f} s"
        return None

    def _disagrees(self, live: LiveModel) -> str | None:
        if live.compared < FEWEST_COMPARED:
            return None
        if live.agreed < live.compared * self.settings.canary_agreement:
            return f"it agrees with production on {live.agreed} of {live.compared} questions"
        if live.confidence_gained < -LOST_CONFIDENCE * live.compared:
            return f"its confidence is {-live.confidence_gained / live.compared:.2f} below that of production"
        return None


@dataclass(frozen=True)
class Lease:
    """A version that one request may use; it stays loaded as long as the request is inside.

    `place` decides to whose share the request belongs, and is none where nobody has a share.
    """

    deployment: Deployment
    live: LiveModel
    role: Role
    place: float | None
    caller: str

    def __enter__(self) -> Self:
        self.live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.__exit__()

    @property
    def model(self) -> AnyModel:
        """The model."""
        return self.live.model

    async def submit(self, questions: Sequence[Any], *, deadline: float) -> list[Any]:
        """The answer to each question, in the order given; arguments and errors as of the queue."""
        started = time.perf_counter()
        try:
            answers = await self.live.queue.submit(questions, deadline=deadline, caller=self.caller)
        except (Problem, asyncio.CancelledError):
            # Nothing is wrong with the model when there is too much to do or nobody waits any more.
            raise
        except Exception:
            self.live.errors += 1
            raise
        seconds = time.perf_counter() - started
        answered(self.deployment.name, self.live.version, self.role, seconds)
        verdicts = [each for each in map(self.model.verdict, answers) if each is not None]
        self.live.answer(verdicts, seconds)
        if verdicts:
            self.deployment.mirrored(self, questions, verdicts)
        return answers


def _place(name: str, key: str) -> float:
    """Where in [0, 1) a request lies, the same each time."""
    digest = hashlib.blake2b(f"{name}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
