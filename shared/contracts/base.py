"""The base of every contract: frozen, and nothing unknown passes."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Contract"]


class Contract(BaseModel):
    """A message between services; unknown fields are refused, known ones cannot be changed after the fact."""

    model_config = ConfigDict(frozen=True, extra="forbid")
