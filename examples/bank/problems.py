"""Refusals and errors as `application/problem+json` (RFC 9457) with a `code` that programs read."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

__all__ = ["ProblemBody", "Refused", "answer_with_problems", "problems"]

CODES = {401: "not_authorised", 404: "not_found", 405: "method_not_allowed"}


class ProblemBody(BaseModel):
    """What an error looks like; `code` names the reason."""

    title: str
    status: int
    code: str
    detail: str | None = None


class Refused(Exception):
    """The bank does not do it; nothing has changed."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation's description says of its errors."""
    content = {"application/problem+json": {"schema": ProblemBody.model_json_schema()}}
    return {status: {"description": "A problem; `code` says which.", "content": content} for status in statuses}


def answer_with_problems(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _problem(error.status, error.code, error.detail)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _problem(422, "invalid_request", f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> JSONResponse:
        code = CODES.get(error.status_code, "refused")
        return _problem(error.status_code, code, str(error.detail), error.headers)


def _problem(status: int, code: str, detail: str, headers: Any = None) -> JSONResponse:
    body = ProblemBody(title=code.replace("_", " "), status=status, code=code, detail=detail)
    return JSONResponse(body.model_dump(), status, headers=headers, media_type="application/problem+json")
