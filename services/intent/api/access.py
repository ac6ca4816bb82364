"""What the endpoints share: who may ask, for which model, until when, and whether anybody still waits."""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import StringConstraints

from services.intent.rollout.loaded_models import LoadedModels
from services.intent.versions.deployment import Deployment, Lease
from shared.calls.client import ON_BEHALF_HEADER
from shared.http.auth import CurrentPrincipal, Principal, require
from shared.http.middleware import CancelledWhenGone, deadline_of

__all__ = [
    "AUTHORISED",
    "DEFAULT_SECONDS",
    "ROLES",
    "SCOPE",
    "Deadline",
    "ModelName",
    "Models",
    "TenantModels",
    "caller_of",
    "unless_gone",
]

T = TypeVar("T")

DEFAULT_SECONDS = 10.0
SCOPE = "intent:predict"
ROLES = ("operator", "admin")
MAX_CALLER = 64

AUTHORISED = Depends(require(roles=ROLES, scopes={SCOPE}))

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def caller_of(principal: Principal, on_behalf_of: str | bytes) -> str:
    """Who has a share of a busy model: the caller, or whom a service says that it asks for.

    People are believed nothing here: with names of their choice they would have as many shares as they like.
    """
    if SCOPE not in principal.scopes or not 0 < len(on_behalf_of) <= MAX_CALLER:
        return principal.subject
    said = on_behalf_of if isinstance(on_behalf_of, str) else on_behalf_of.decode("latin-1")
    return f"{principal.subject}:{said}"


async def _deadline(request: Request) -> float:
    return deadline_of(request, DEFAULT_SECONDS)


Deadline = Annotated[float, Depends(_deadline)]
"""Until when the caller waits, by the event loop's clock."""


@dataclass(frozen=True)
class TenantModels:
    """The models that belong to the tenant that is asked for."""

    loaded: LoadedModels
    tenant: str
    caller: str
    deadline: float
    by_service: bool
    """Whether a service asks, for whomever it works."""

    def use(
        self, name: str, *, key: str | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Lease]:
        """The way to a model, which stays loaded meanwhile; arguments and errors as of `LoadedModels.use`."""
        return self.loaded.use(
            name, tenant=self.tenant, deadline=self.deadline, key=key, version=version, caller=self.caller
        )

    def use_for_assistant(self, name: str, *, key: str) -> AbstractAsyncContextManager[Lease]:
        """The way to the model of an assistant, as of `use`.

        A tenant without a model of its own talks to the installation's assistant, which is understood by the
        installation's model; only a service can ask for it so.
        """
        if self.by_service and not self.loaded.knows(name, self.tenant):
            return self.loaded.use(name, tenant=self.loaded.tenant, deadline=self.deadline, key=key, caller=self.caller)
        return self.use(name, key=key)

    def use_for_release(
        self, model: str, version: str, *, assistant: str, key: str
    ) -> AbstractAsyncContextManager[Lease]:
        """The way to the version of a release, or to what is in production where that version is gone; as of `use`.

        A release names its model by the whole name. Only a service can ask for it so, and only for one of the tenant
        that it works for or of the installation's.
        """
        owner, _, name = model.rpartition(".")
        owner = owner or self.loaded.tenant
        if self.by_service and owner in (self.tenant, self.loaded.tenant) and self.loaded.knows(name, owner):
            return self.loaded.use(
                name, tenant=owner, deadline=self.deadline, key=key, version=version or None, or_production=True,
                caller=self.caller,
            )  # fmt: skip
        return self.use_for_assistant(assistant, key=key)

    def deployments(self) -> list[Deployment]:
        """What is loaded."""
        return self.loaded.of_tenant(self.tenant)


async def _models(request: Request, principal: CurrentPrincipal, deadline: Deadline) -> TenantModels:
    caller = caller_of(principal, request.headers.get(ON_BEHALF_HEADER, ""))
    return TenantModels(request.app.state.models, principal.tenant, caller, deadline, principal.is_service)


Models = Annotated[TenantModels, Depends(_models)]


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which is given up when the client goes away before.

    Raises:
        DeadlineExceeded: the client went away; nobody reads this.
    """
    with CancelledWhenGone(request.receive):
        return await work
