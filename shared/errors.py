"""Every error of the project, and how it looks over HTTP (RFC 9457).

ZhiyinError
├── ConfigurationError
└── Problem                   an HTTP error with a status, a stable type and a title
    ├── InvalidInput          422, names the field
    ├── Malformed             400
    ├── Unauthenticated       401
    ├── Forbidden             403
    ├── NotFound              404
    ├── MethodNotAllowed      405
    ├── RequestTimeout        408
    ├── Conflict              409
    ├── TooLarge              413
    ├── UnsupportedMedia      415
    ├── ExpectationFailed     417
    ├── TooManyRequests       429, with Retry-After
    ├── HeadersTooLarge       431
    ├── InternalError         500
    ├── UpstreamError         502, another service gave an unusable answer
    ├── Unavailable           503, with Retry-After
    └── DeadlineExceeded      504
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, Field

__all__ = [
    "PROBLEM_JSON",
    "ConfigurationError",
    "Conflict",
    "DeadlineExceeded",
    "ExpectationFailed",
    "FieldError",
    "Forbidden",
    "HeadersTooLarge",
    "InternalError",
    "InvalidInput",
    "Malformed",
    "MethodNotAllowed",
    "NotFound",
    "Problem",
    "ProblemDocument",
    "RequestTimeout",
    "TooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedMedia",
    "UpstreamError",
    "ZhiyinError",
    "problem_for_status",
    "responses",
]

PROBLEM_JSON = "application/problem+json"


class FieldError(BaseModel):
    """One thing wrong with one field of the input."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Field(default_factory=list)
    request_id: str | None = None


class ZhiyinError(Exception):
    """The root of every error that the project raises itself."""


class ConfigurationError(ZhiyinError):
    """The settings cannot be used; the message says which and why."""


class Problem(ZhiyinError):
    """An error that a client gets as a problem document."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = list(errors) or ([FieldError(field=field, message=self.detail)] if field else [])
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}

    def document(self, request_id: str | None = None) -> dict[str, Any]:
        """The body of the answer."""
        body = ProblemDocument(
            type=f"urn:zhiyin:problem:{self.kind}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            errors=self.errors,
            request_id=request_id,
        )
        return body.model_dump(mode="json")


class Malformed(Problem):
    """The request cannot be read at all."""

    status, kind, title = 400, "malformed", "Malformed request"


class Unauthenticated(Problem):
    """There is no token, or it is no longer valid."""

    status, kind, title = 401, "unauthenticated", "Not authenticated"

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | {"WWW-Authenticate": "Bearer"}


class Forbidden(Problem):
    """The caller is known and not allowed to do this."""

    status, kind, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """There is no such thing, or it belongs to another caller."""

    status, kind, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """The address exists, the method does not."""

    status, kind, title = 405, "method-not-allowed", "Method not allowed"


class RequestTimeout(Problem):
    """The request was not complete in time."""

    status, kind, title = 408, "request-timeout", "Request timeout"


class Conflict(Problem):
    """The request contradicts what is stored."""

    status, kind, title = 409, "conflict", "Conflict"


class TooLarge(Problem):
    """The input is over its limit."""

    status, kind, title = 413, "too-large", "Too large"


class UnsupportedMedia(Problem):
    """The body is of a type that is not read here."""

    status, kind, title = 415, "unsupported-media-type", "Unsupported media type"


class ExpectationFailed(Problem):
    """The client expects what is not done here."""

    status, kind, title = 417, "expectation-failed", "Expectation failed"


class InvalidInput(Problem):
    """The request is well formed and a value in it is wrong."""

    status, kind, title = 422, "invalid-input", "Invalid input"


class TooManyRequests(Problem):
    """More requests than can be handled now."""

    status, kind, title = 429, "too-many-requests", "Too many requests"


class HeadersTooLarge(Problem):
    """The request line and the headers are over their limit."""

    status, kind, title = 431, "headers-too-large", "Headers too large"


class InternalError(Problem):
    """A fault of the service; its logs have the request id."""

    status, kind, title = 500, "internal-error", "Internal error"


class UpstreamError(Problem):
    """Another service gave an unusable answer."""

    status, kind, title = 502, "upstream-error", "Upstream error"


class Unavailable(Problem):
    """A service that is needed cannot be reached."""

    status, kind, title = 503, "unavailable", "Temporarily unavailable"


class DeadlineExceeded(Problem):
    """The answer was not ready in time."""

    status, kind, title = 504, "deadline-exceeded", "Deadline exceeded"


PROBLEMS: dict[int, type[Problem]] = {
    problem.status: problem
    for problem in (
        Malformed,
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        RequestTimeout,
        Conflict,
        TooLarge,
        UnsupportedMedia,
        ExpectationFailed,
        InvalidInput,
        TooManyRequests,
        HeadersTooLarge,
        InternalError,
        UpstreamError,
        Unavailable,
        DeadlineExceeded,
    )
}


def problem_for_status(status: int) -> type[Problem]:
    """The problem class of an HTTP status; an unknown 4xx is `Malformed`, anything else `UpstreamError`."""
    return PROBLEMS.get(status, Malformed if 400 <= status < 500 else UpstreamError)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for a route's own problems; those of every route are added by the service."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    return {status: {"description": PROBLEMS[status].title, "content": {PROBLEM_JSON: schema}} for status in statuses}
