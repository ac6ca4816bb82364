"""Which assistant a conversation talks to: those of the releases that are live, and the one of the settings.

The folder of the settings is the release of before any publish, `""`. It serves every tenant that has published none
of its own under that name.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.dialogue.assistant.assistant import Assistant, load_assistant
from shared.contracts.releases import Release, ReleaseAlias
from shared.errors import ConfigurationError, InvalidInput, Unavailable

__all__ = ["Assistants", "Conventions", "Live"]

BUILT_IN = ""
RETRY_SECONDS = 5.0


class Conventions(Protocol):
    """Where a company's days begin and what it counts in; None is what the assistant's file says."""

    @property
    def timezone(self) -> str | None:
        """A name of the IANA database."""

    @property
    def currency(self) -> str | None:
        """An ISO code."""


@dataclass(frozen=True)
class Live:
    """A release ready to talk: who has one turns with it to the end, whatever is published meanwhile."""

    assistant: Assistant
    release: str = BUILT_IN
    model: str = ""
    """The registered name of its model; empty where the assistant's own name is asked for."""
    model_version: str = ""


@dataclass(frozen=True)
class _Current:
    """What an assistant of a tenant goes by now; `share` of the conversations go by the canary."""

    production: Live
    canary: Live | None = None
    share: float = 0.0


class Assistants:
    """The assistants of an installation, by tenant and name."""

    def __init__(self, built_in: Assistant, companies: Mapping[str, Conventions] | None = None) -> None:
        """Args:
        built_in: the assistant of the settings.
        companies: by tenant, what differs from what an assistant's file says.
        """
        self._companies = dict(companies or {})
        self._built_in = Live(built_in)
        self._built_in_of = {tenant: Live(self._written_for(tenant, built_in)) for tenant in self._companies}
        self._loaded: dict[str, Live] = {}
        self._current: dict[tuple[str, str], _Current] = {}

    @property
    def default(self) -> str:
        """The name of the assistant that is talked to where nobody names one."""
        return self._built_in.assistant.name

    def names(self, tenant: str) -> list[str]:
        """The assistants that a tenant's customers may talk to."""
        own = {name for owner, name in self._current if owner == tenant}
        return sorted(own | {self.default})

    def of(self, tenant: str, name: str, conversation: str = "") -> Live:
        """What a conversation goes by now; whether it is one of a canary's share, its id decides.

        Raises:
            Unavailable: no release of this assistant has come here yet.
        """
        current = self._current.get((tenant, name))
        if current is None:
            if name != self.default:
                raise Unavailable(f"the assistant {name!r} is not here yet", retry_after=RETRY_SECONDS)
            return self._built_in_for(tenant)
        if current.canary is not None and _place(conversation) < current.share:
            return current.canary
        return current.production

    def require(self, tenant: str | None, name: str | None, language: str | None) -> None:
        """Refuses what no conversation can be opened with.

        Args:
            tenant: None while it is not known who comes; then it is enough that anybody has such an assistant.

        Raises:
            InvalidInput: there is no such assistant, or it does not speak the language.
        """
        wanted = name or self.default
        known = [
            current.production.assistant
            for (owner, each), current in self._current.items()
            if each == wanted and tenant in (None, owner)
        ]
        if wanted == self.default and (tenant is None or not known):
            known.append(self._built_in.assistant)
        if not known:
            others = "" if tenant is None else f", only {', '.join(map(repr, self.names(tenant)))}"
            raise InvalidInput(f"there is no assistant {wanted!r}{others}", field="assistant")
        if language is not None and all(language not in each.languages for each in known):
            raise InvalidInput(f"{wanted} speaks {', '.join(known[0].languages)}", field="language")

    # As followers call it

    async def load(self, release: Release, folder: Path) -> None:
        """Reads and checks a release's folder in a thread.

        Raises:
            ConfigurationError: something in it is wrong; the message has a line with file and line for each mistake.
        """
        assistant = await asyncio.to_thread(load_assistant, folder)
        if assistant.name != release.assistant:
            raise ConfigurationError(
                f"assistant.yml: its name is {assistant.name!r}, published as {release.assistant!r}"
            )
        self._loaded[release.id] = Live(
            self._written_for(release.tenant, assistant), release.id, release.model, release.model_version
        )

    def serve(self, aliases: Sequence[ReleaseAlias]) -> None:
        """From now on turns begin with these."""
        named = {(each.release.tenant, each.release.assistant, each.alias): each for each in aliases}
        current: dict[tuple[str, str], _Current] = {}
        for tenant, name, _ in named:
            production, canary = named.get((tenant, name, "production")), named.get((tenant, name, "canary"))
            if production is not None:
                live = self._loaded[production.release.id]
            elif name == self.default:
                live = self._built_in_for(tenant)
            else:
                continue
            current[tenant, name] = (
                _Current(live) if canary is None else _Current(live, self._loaded[canary.release.id], canary.share)
            )
        self._current = current

    def forget(self, release: Release) -> None:
        """Turns that began with it have it themselves."""
        del self._loaded[release.id]

    def _built_in_for(self, tenant: str) -> Live:
        return self._built_in_of.get(tenant, self._built_in)

    def _written_for(self, tenant: str, assistant: Assistant) -> Assistant:
        company = self._companies.get(tenant)
        return assistant if company is None else assistant.of(timezone=company.timezone, currency=company.currency)


def _place(conversation: str) -> float:
    """Where in [0, 1) a conversation lies, the same each time."""
    return int.from_bytes(hashlib.blake2b(conversation.encode(), digest_size=8).digest()) / 2**64
