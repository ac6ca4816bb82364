"""Releases: which bundle, model and knowledge an assistant of a tenant goes by, and what the services say of them.

Learning keeps them; dialogue, business and intent follow. A release goes through `checking`, `training`, `proving`
(every service loads it beside the one that is live and says whether it can) and `ready`; it is live where an alias
names it. One that a service refuses is `refused`, with the reason, and no alias ever names it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import Contract, RequestBody, unknown_as

__all__ = [
    "AliasName",
    "AssistantList",
    "AssistantName",
    "Digest",
    "Following",
    "MoveAlias",
    "NewRelease",
    "Release",
    "ReleaseAlias",
    "ReleaseList",
    "ReleaseReport",
    "ReleaseState",
    "StoredBundle",
]

AssistantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
AliasName = Literal["production", "canary", "shadow"]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ReleaseState = Literal["checking", "training", "proving", "ready", "refused"]


class Release(Contract):
    """One state of an assistant; `number` counts those of one assistant of one tenant from 1."""

    id: str
    tenant: str
    assistant: AssistantName
    number: int
    bundle: Digest
    """The SHA-256 of the packed folder."""
    bundle_bytes: int = 0
    model: str = ""
    """The model's registered name, `assistant` or `tenant.assistant`; empty while there is none."""
    model_version: str = ""
    preliminary: bool = False
    """Whether the model was made quickly, and serves until the whole one, a release of its own, has been trained."""
    knowledge: str = ""
    state: Annotated[ReleaseState, unknown_as("proving")]
    reason: str = ""
    """Why it was refused; otherwise how far it has come."""
    created_at: datetime
    created_by: str = ""


class ReleaseAlias(Contract):
    """Which release an alias of an assistant names; `share` of the conversations, where it is not production."""

    alias: Annotated[AliasName, unknown_as("shadow")]
    release: Release
    share: Annotated[float, Field(ge=0, le=1)] = 1.0


class Following(Contract):
    """All that services follow: what aliases name, and releases to be proven; `cursor` changes with any of it."""

    cursor: str
    aliases: Sequence[ReleaseAlias]
    proving: Sequence[Release] = ()


class ReleaseReport(RequestBody):
    """What an instance of a service says of a release: that it has loaded it, or why it cannot."""

    service: Annotated[str, StringConstraints(max_length=64)]
    instance: Annotated[str, StringConstraints(max_length=128)]
    loaded: bool
    reason: Annotated[str, StringConstraints(max_length=4000)] = ""


class MoveAlias(RequestBody):
    """Names another release by an alias; with `expected`, only if the alias names that one now."""

    release: Annotated[str, StringConstraints(max_length=64)]
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    expected: Annotated[str, StringConstraints(max_length=64)] | None = None


class ReleaseList(Contract):
    """Releases of an assistant, the newest first, with what its aliases name.

    `previous` is the release that a rollback goes to: the newest that was in production before the one that is, and of
    other files; none when there is none.
    """

    releases: Sequence[Release]
    aliases: Sequence[ReleaseAlias]
    previous: Release | None = None
    next_before: int | None = None


class AssistantList(Contract):
    """What the aliases of every assistant of a tenant name."""

    assistants: Sequence[AssistantName]
    aliases: Sequence[ReleaseAlias]


class StoredBundle(Contract):
    """A bundle that is kept now."""

    digest: Digest
    bytes: int


class NewRelease(RequestBody):
    """Makes a release of a bundle that was uploaded.

    `force` lets a model that is worse than the one in production through; without `live` no alias is moved to it.
    """

    bundle: Digest
    force: bool = False
    live: bool = True
