"""What the endpoints share: who may ask, for which model, until when, and whether anybody still waits."""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import StringConstraints

from services.intent.rollout.loaded_models import LoadedModels
from services.intent.versions.deployment import Deployment, Lease
from shared.http.auth import CurrentPrincipal, require
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
    "unless_gone",
]

T = TypeVar("T")

DEFAULT_SECONDS = 10.0
SCOPE = "intent:predict"
ROLES = ("operator", "admin")

AUTHORISED = Depends(require(roles=ROLES, scopes={SCOPE}))

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


async def _deadline(request: Request) -> float:
    return deadline_of(request, DEFAULT_SECONDS)


Deadline = Annotated[float, Depends(_deadline)]
"""Until when the caller waits, by the event loop's clock."""


@dataclass(frozen=True)
class TenantModels:
    """The models that belong to the caller's tenant."""

    loaded: LoadedModels
    tenant: str
    caller: str
    deadline: float

    def use(
        self, name: str, *, key: str | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Lease]:
        """The way to a model, which stays loaded meanwhile; arguments and errors as of `LoadedModels.use`."""
        return self.loaded.use(
            name, tenant=self.tenant, deadline=self.deadline, key=key, version=version, caller=self.caller
        )

    def deployments(self) -> list[Deployment]:
        """What is loaded."""
        return self.loaded.of_tenant(self.tenant)


async def _models(request: Request, principal: CurrentPrincipal, deadline: Deadline) -> TenantModels:
    return TenantModels(request.app.state.models, principal.tenant, principal.subject, deadline)


Models = Annotated[TenantModels, Depends(_models)]


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which is given up when the client goes away before.

    Raises:
        DeadlineExceeded: the client went away; nobody reads this.
    """
    with CancelledWhenGone(request.receive):
        return await work
