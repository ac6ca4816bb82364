"""Turns every error that leaves a service into `application/problem+json`, and declares it in the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import Scope
from structlog.contextvars import get_contextvars

from shared.errors import (
    PROBLEM_JSON,
    FieldError,
    InvalidInput,
    Malformed,
    MethodNotAllowed,
    Problem,
    ProblemDocument,
    UnsupportedMedia,
    problem_for_status,
    responses,
)
from shared.http.sentences import sentence

__all__ = ["install_problems", "problem_response"]

JSON, JSON_INVALID = "application/json", "json_invalid"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_FIELD_ERRORS = 20
MAX_NAME, MAX_DEPTH, MAX_MESSAGE = 64, 8, 500


def problem_response(problem: Problem) -> JSONResponse:
    """The HTTP response for a problem."""
    request_id = get_contextvars().get("request_id")
    return JSONResponse(
        problem.document(None if request_id is None else str(request_id)),
        status_code=problem.status,
        headers=problem.headers,
        media_type=PROBLEM_JSON,
    )


def install_problems(app: FastAPI) -> None:
    """Maps the project's and FastAPI's errors; `RequestMiddleware` handles unexpected ones."""

    async def on_problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return problem_response(error)

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem_response(_not_json(request, error.errors()) or _from_validation(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == MethodNotAllowed.status:
            headers["Allow"] = ", ".join(sorted(_methods(app, request.scope)))
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        answer = problem_response(problem_for_status(error.status_code)(str(error.detail)))
        answer.headers.update(headers)
        return answer

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]


def _methods(app: FastAPI, scope: Scope) -> set[str]:
    """Every method that some route of this path has; its own error names those of one route."""
    found = {"OPTIONS"}
    # What is mounted gets a scope of its own.
    whole = {**scope, "root_path": scope.get("app_root_path", scope["root_path"])}
    for route in app.routes:
        for method in METHODS:
            if route.matches({**whole, "method": method})[0] is Match.FULL:
                # What is mounted as a whole are files.
                found.add("GET" if isinstance(route, Mount) else method)
    return found | {"HEAD"} if "GET" in found else found


def _not_json(request: Request, errors: Sequence[Mapping[str, Any]]) -> Problem | None:
    """That the body is not said to be JSON, where it was left unread for that."""
    if not any(isinstance(error.get("input"), bytes) and error["type"] != JSON_INVALID for error in errors):
        return None
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    said = f"{given[:MAX_NAME]!r}" if given else "nothing"
    return UnsupportedMedia(f"the body should be {JSON}, and the header Content-Type says {said}")


def _from_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    if any(error["type"] == JSON_INVALID for error in errors):
        return Malformed("the body is not valid JSON")
    fields = [
        FieldError(field=_field(error["loc"]), message=sentence(error)[:MAX_MESSAGE])
        for error in errors[:MAX_FIELD_ERRORS]
    ]
    return InvalidInput("; ".join(f"{each.field}: {each.message}" for each in fields), errors=fields)


def _field(location: Sequence[int | str]) -> str:
    # A part may be a name that the client chose, of any length.
    return ".".join(str(part)[:MAX_NAME] for part in location[1:][:MAX_DEPTH]) or str(location[0])


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["ProblemDocument"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for item in document["paths"].values():
            for operation in item.values():
                _declare_problems(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _declare_problems(operation: dict[str, Any]) -> None:
    statuses = {500}
    if operation.get("parameters") or "requestBody" in operation:
        statuses.add(422)
    if "requestBody" in operation:
        statuses |= {400, 413, 415}
    if "security" in operation:
        statuses |= {401, 403, 503}
    for status, answer in responses(*sorted(statuses)).items():
        operation["responses"][str(status)] = answer
