"""Which models are served."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from services.intent.api.access import AUTHORISED, Models
from services.intent.kinds.kind import AnyModel
from services.intent.versions.deployment import Deployment
from services.intent.versions.model_registry import ALIASES

__all__ = ["router"]

router = APIRouter(tags=["intent"], dependencies=[AUTHORISED])


class RefusedVersion(BaseModel):
    """A version that an alias names and that is not served, and why."""

    alias: str
    version: str
    reason: str


class ModelInfo(BaseModel):
    """A model that is served; `digest` is the SHA-256 of its manifest, and its `kind` may say more of it.

    A model that understands texts has its `languages`, its `intents` and the `dimension` of its embeddings.
    `aliases` are the versions that serve as production, canary and shadow. As long as it is `watched`, the version
    before comes back if this one does badly. `megabytes` is what all its versions take.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    version: str
    kind: str
    digest: str
    metrics: dict[str, Any]
    backend: str
    device: str
    precision: str
    loaded_at: datetime
    aliases: dict[str, str]
    refused: list[RefusedVersion]
    watched: bool
    megabytes: int


class ModelList(BaseModel):
    """All models that are served."""

    models: list[ModelInfo]


@router.get("/v1/models")
async def list_models(models: Models) -> ModelList:
    """The models of the caller's tenant that this server has loaded."""
    return ModelList(
        models=[_info(each, each.production.model) for each in models.deployments() if each.production is not None]
    )


def _info(deployment: Deployment, model: AnyModel) -> ModelInfo:
    return ModelInfo(
        name=model.manifest.name,
        version=model.manifest.version,
        kind=model.manifest.kind,
        digest=model.digest,
        metrics=dict(model.manifest.metrics),
        backend=model.backend,
        device=model.device,
        precision=model.precision,
        loaded_at=model.loaded_at,
        aliases={alias: live.version for alias in ALIASES if (live := deployment.at(alias)) is not None},
        refused=[
            RefusedVersion(alias=each.alias, version=each.registered.version, reason=each.reason)
            for each in deployment.refusals.values()
        ],
        watched=deployment.previous is not None,
        megabytes=round(deployment.size / 1e6),
        **model.facts,
    )
