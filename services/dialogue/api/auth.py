"""The gateway's door to login, so that a browser talks to one origin only."""

from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ConfigDict

from services.dialogue.limits import address_of
from services.dialogue.settings import Settings
from shared.contracts.base import RequestBody
from shared.errors import Forbidden, Unauthenticated, responses
from shared.http.client_address import CLIENT_ADDRESS_HEADER, GATEWAY_TOKEN_HEADER
from shared.http.service import ServiceContext

__all__ = ["ask_login", "router"]

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/auth", tags=["auth"])

SECONDS = 5.0

STATUS = {"register": 201, "logout": 204}

DEVICE_COOKIE = "zhiyin_device"
"""Login's proof that somebody has logged in from this browser; of no use without the password."""
DEVICE_SECONDS = 180 * 86_400


class Forwarded(RequestBody):
    """Whatever login takes of what the public sends; login itself checks it."""

    model_config = ConfigDict(extra="allow")


@router.post(
    "/{call}",
    response_class=JSONResponse,
    responses={
        200: {"description": "Tokens", "content": {"application/json": {}}},
        201: {"description": "The account", "content": {"application/json": {}}},
        204: {"description": "Logged out"},
        **responses(401, 403, 404, 409, 429, 502, 503, 504),
    },
)
async def forward(
    call: Annotated[Literal["guest", "login", "refresh", "logout", "register", "password"], Path()],
    request: Request,
    body: Forwarded | None = None,
) -> Response:
    """Passes a log-in, refresh, log-out, registration, guest request or change of password on to login."""
    sent: dict[str, Any] = body.model_dump() if body else {}
    if call == "login" and (device := request.cookies.get(DEVICE_COOKIE)):
        sent.setdefault("device", device)
    answer = await ask_login(request, "POST", f"/v1/{call}", sent)
    status = STATUS.get(call, 200)
    if status == 204:
        return Response(status_code=204)
    response = JSONResponse(answer, status_code=status)
    if device := answer.get("device"):
        settings: Settings = request.app.state.settings
        response.set_cookie(
            DEVICE_COOKIE,
            str(device),
            max_age=DEVICE_SECONDS,
            path=router.prefix,
            secure=settings.environment == "production",
            httponly=True,
            samesite="strict",
        )
    return response


@router.get("/sessions", response_class=JSONResponse, responses=responses(401, 429, 502, 503, 504))
async def sessions(request: Request) -> JSONResponse:
    """The caller's own sessions."""
    return JSONResponse(await ask_login(request, "GET", "/v1/sessions"))


@router.delete("/sessions/{session_id}", status_code=204, responses=responses(401, 404, 429, 502, 503, 504))
async def end_session(session_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")], request: Request) -> None:
    """Ends one of the caller's sessions."""
    await ask_login(request, "DELETE", f"/v1/sessions/{session_id}")


async def ask_login(request: Request, method: str, path: str, body: Any = None) -> Any:
    """Login's answer to this person: their access token goes with it, and from where they call."""
    context: ServiceContext = request.app.state.context
    headers = {CLIENT_ADDRESS_HEADER: address_of(request.scope, request.app.state.settings)}
    try:
        if own := await context.client.token("login"):
            headers[GATEWAY_TOKEN_HEADER] = own
    except (Forbidden, Unauthenticated) as error:
        # Log-ins go on, but login counts all of them as one address.
        log.error("gateway_not_known_to_login", error=error.detail)
    if person := request.headers.get("Authorization"):
        headers["Authorization"] = person
    return await context.client.call(
        "login", method, path, json=body, deadline=SECONDS, retry=False, headers=headers, authenticated=False
    )
