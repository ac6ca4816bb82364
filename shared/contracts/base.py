"""The bases of what is read from elsewhere, which is read tolerantly, and of what the public sends, which is not.

Releases N and N+1 run side by side, so whatever comes from a service, a queue or a table may have fields and members
of enumerations that are not known here. Unknown fields are ignored. What an unknown member means, each field decides:
`unknown_as` reads it as a known one, a plain `str` passes it on, and where neither would be true, the whole is refused
and left to the release that knows it.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

__all__ = ["Contract", "RequestBody", "unknown_as"]


class Contract(BaseModel):
    """A message between services, or a record in a queue or a table; unknown fields are ignored, nothing is changed."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RequestBody(BaseModel):
    """What the public sends; a field that is not known is a mistake of the caller's."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def unknown_as(default: Any) -> WrapValidator:
    """For a field with an enumeration of strings: a member of a later release is read as `default`."""

    def known(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if isinstance(value, str):
                return default
            raise

    return WrapValidator(known)
