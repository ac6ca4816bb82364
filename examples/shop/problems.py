"""Errors as RFC 9457 problems: `code` is for programs, `detail` for people."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

__all__ = ["Problem", "ProblemBody", "as_problem", "documented", "problem_answer", "speak_problems"]

TITLES = {
    400: "Bad request",
    401: "Not authorised",
    404: "Not found",
    405: "Method not allowed",
    409: "Refused",
    413: "Too large",
    422: "Not valid",
    429: "Too many requests",
    500: "Server error",
}


class Problem(Exception):
    """The shop says no; `more` are further fields of the problem."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.more = more

    @property
    def body(self) -> dict[str, Any]:
        """The problem as JSON."""
        title = TITLES.get(self.status, "Error")
        about = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return about | {"code": self.code} | self.more


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["body.reason"])
    message: str


class ProblemBody(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Refused"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["the money of this order has been given back already"])
    code: str = Field(description="Why, for programs", examples=["already_refunded"])
    errors: list[FieldProblem] = Field(default=[], description="Which fields are not valid")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation for its documentation."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": TITLES[status], "content": content} for status in sorted({*statuses, 401, 422})}


def problem_answer(problem: Problem) -> JSONResponse:
    """A problem as an answer."""
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    return JSONResponse(problem.body, problem.status, headers, media_type="application/problem+json")


def as_problem(error: RequestValidationError) -> Problem:
    """What is wrong with a request, field by field; never with what was sent."""
    fields = [{"field": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()[:20]]
    return Problem(422, "invalid_request", "the request is not valid", errors=fields)


def speak_problems(app: FastAPI) -> None:
    """Has every error of an app answered as a problem."""

    @app.exception_handler(Problem)
    async def refused(_request: Request, problem: Problem) -> JSONResponse:
        return problem_answer(problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_answer(as_problem(error))

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
        answer = problem_answer(Problem(error.status_code, code, str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer
