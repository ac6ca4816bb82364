"""Proofs of instances: what a service registers is believed by others once login has signed it."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.login.api.dependencies import NO_STORE, LoginDep, OriginDep
from services.login.schemas import ClientSecret
from shared.calls.proof import sign
from shared.calls.registration import Instance
from shared.errors import responses
from shared.storage.database import now

__all__ = ["router"]

PROOF_SECONDS = 600
"""Short, because an address is used again sooner or later; without login readers fall back to configured addresses."""

router = APIRouter(tags=["services"])

Printable = r"^[!-~]+$"


class InstanceClaim(ClientSecret):
    """A service's credentials, and where one instance of it listens."""

    client_id: Annotated[str, Field(min_length=1, max_length=56)]
    instance: Annotated[str, Field(max_length=256, pattern=Printable)]
    host: Annotated[str, Field(max_length=253, pattern=Printable)]
    port: Annotated[int, Field(ge=1, le=65535)]


class InstanceProof(BaseModel):
    """Goes into the registry beside the instance; good for `expires_in` seconds."""

    proof: str
    expires_in: int


@router.post("/v1/instances", dependencies=NO_STORE, responses=responses(401, 429, 503))
async def prove(body: InstanceClaim, login: LoginDep, origin: OriginDep) -> InstanceProof:
    """Signs that an instance belongs to the service whose credentials these are."""
    client = await login.clients.verified(body, origin)
    instance = Instance(id=body.instance, service=client.client_id, host=body.host, port=body.port)
    expires = int(now().timestamp()) + PROOF_SECONDS
    proof = sign(login.keys.signer(), login.settings.installation, instance, expires=expires)
    return InstanceProof(proof=proof, expires_in=PROOF_SECONDS)
