"""The gateway's door to login, so that a browser talks to one origin only."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from shared.errors import responses
from shared.http.service import ServiceContext

__all__ = ["router"]

router = APIRouter(prefix="/v1/auth", tags=["auth"])

SECONDS = 5.0

STATUS = {"register": 201, "logout": 204}


class Forwarded(BaseModel):
    """Whatever login takes; login itself checks it."""

    model_config = ConfigDict(extra="allow")


@router.post(
    "/{call}",
    response_class=JSONResponse,
    responses={
        200: {"description": "Tokens", "content": {"application/json": {}}},
        201: {"description": "The account", "content": {"application/json": {}}},
        204: {"description": "Logged out"},
        **responses(401, 404, 409, 429, 502, 503, 504),
    },
)
async def forward(
    call: Annotated[Literal["guest", "login", "refresh", "logout", "register"], Path()],
    request: Request,
    body: Forwarded | None = None,
) -> Response:
    """Passes a log-in, refresh, log-out, registration or guest request on to login."""
    context: ServiceContext = request.app.state.context
    # Every proxy adds whom it heard; login reads the list from its end for as long as it trusts the speaker.
    heard = [*request.headers.getlist("X-Forwarded-For"), request.client.host if request.client else "unknown"]
    answer: Any = await context.client.post(
        "login",
        f"/v1/{call}",
        json=body.model_dump() if body else {},
        deadline=SECONDS,
        headers={"X-Forwarded-For": ", ".join(heard)},
        authenticated=False,
    )
    status = STATUS.get(call, 200)
    return Response(status_code=204) if status == 204 else JSONResponse(answer, status_code=status)
