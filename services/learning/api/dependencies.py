"""What the routes share: the wired objects, who may call, names in addresses."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from services.learning.publishing.following import Changes
from services.learning.publishing.pipeline import Pipeline
from services.learning.publishing.store import BundleStore
from shared.contracts.releases import AssistantName, Digest
from shared.errors import Forbidden
from shared.http.auth import OPERATORS, Principal, require
from shared.storage.database import ALL_TENANTS, Database

__all__ = [
    "READ_SCOPE",
    "REPORT_SCOPE",
    "Assistant",
    "BundleDigest",
    "InLearning",
    "Learning",
    "Operator",
    "Reader",
    "ReleaseId",
    "Reporter",
]

READ_SCOPE = "learning:read"
REPORT_SCOPE = "learning:report"


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What the routes work with; found in `app.state.learning`."""

    database: Database
    store: BundleStore
    pipeline: Pipeline
    changes: Changes


async def _learning(request: Request) -> Learning:
    learning: Learning = request.app.state.learning
    return learning


def _of_one_tenant(principal: Principal) -> Principal:
    # Background sweeps use this name for all tenants; no caller may have it.
    if principal.tenant == ALL_TENANTS:
        raise Forbidden("this token belongs to no tenant")
    return principal


async def _operator(principal: Annotated[Principal, Depends(require(roles=OPERATORS))]) -> Principal:
    return _of_one_tenant(principal)


async def _reader(principal: Annotated[Principal, Depends(require(roles=OPERATORS, scopes={READ_SCOPE}))]) -> Principal:
    return _of_one_tenant(principal)


async def _reporter(principal: Annotated[Principal, Depends(require(scopes={REPORT_SCOPE}))]) -> Principal:
    return _of_one_tenant(principal)


InLearning = Annotated[Learning, Depends(_learning)]
Operator = Annotated[Principal, Depends(_operator)]
Reader = Annotated[Principal, Depends(_reader)]
Reporter = Annotated[Principal, Depends(_reporter)]

Assistant = Annotated[AssistantName, Path(description="The assistant's name, as its `assistant.yml` says")]
BundleDigest = Annotated[Digest, Path(description="The SHA-256 of the bundle, in hexadecimal")]
ReleaseId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="The release's id")]
