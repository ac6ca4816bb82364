"""Requests of staff that another service answers: with the person's own token, which it verifies itself."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from shared.errors import UpstreamError
from shared.http.service import ServiceContext

__all__ = ["V", "asked", "passed_on"]

SECONDS = 5.0

V = TypeVar("V", bound=BaseModel)


async def asked(request: Request, service: str, method: str, path: str, answer: type[V], **call: Any) -> V:
    """The service's answer to this person; `call` is as in `passed_on`.

    Raises:
        UpstreamError: the answer cannot be read; else as `passed_on`.
    """
    try:
        return answer.model_validate(await passed_on(request, service, method, path, **call))
    except ValidationError as error:
        raise UpstreamError(f"the answer of {service} is not what it should be") from error


async def passed_on(
    request: Request,
    service: str,
    method: str,
    path: str,
    *,
    body: BaseModel | None = None,
    content: bytes | None = None,
    again: bool = False,
    seconds: float = SECONDS,
) -> Any:
    """The JSON that the service answers this person.

    Args:
        content: a body that is no JSON.
        again: repeating what is not a GET does no harm.

    Raises:
        Problem: as `ServiceClient.call`.
    """
    context: ServiceContext = request.app.state.context
    return await context.client.call(
        service,
        method,
        path,
        json=None if body is None else body.model_dump(mode="json"),
        content=content,
        deadline=seconds,
        retry=again or method == "GET",
        headers={"Authorization": request.headers["Authorization"]},
        authenticated=False,
    )
