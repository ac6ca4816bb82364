"""A service of a few routes."""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from shared.errors import Conflict, responses
from shared.http.auth import CurrentPrincipal
from shared.http.service import create_service
from shared.settings import ServiceSettings

__all__ = ["application"]

router = APIRouter()


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int
    items: list[str]


@router.post("/orders", status_code=201, responses=responses(409))
async def order(body: Order, note: Annotated[str, Query(max_length=5)] = "") -> Order:
    """Takes an order."""
    if body.number == 7:
        raise Conflict("it was taken before", field="number")
    return body


@router.get("/teapot")
async def teapot() -> None:
    """Raises a status that is none of ours."""
    raise HTTPException(418, "short and stout", headers={"X-Tea": "green"})


@router.get("/mine")
async def mine(principal: CurrentPrincipal) -> str:
    """Whose it is."""
    return principal.subject


async def no_keys() -> dict[str, Any]:
    return {"keys": []}


def application(**options: Any) -> FastAPI:
    """The service; options go to `create_service`."""
    settings = options.pop("settings", ServiceSettings(log_level="error"))
    return create_service(settings, name="shop", description="Takes orders.", routers=[router], jwks=no_keys, **options)
