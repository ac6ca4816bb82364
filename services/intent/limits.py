"""Limits that settings may change and that rooms share."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from shared.nlu.engines.runtime import BATCH_TOKENS

__all__ = ["BATCH_TOKENS", "CACHE_TEXTS", "QUEUE_TEXTS", "SQLITE", "BatchPolicy", "check_registry_uri"]

QUEUE_TEXTS: Final = 512
CACHE_TEXTS: Final = 2048
SQLITE: Final = "sqlite:///"


class BatchPolicy(BaseModel):
    """How large a batch may grow, how many texts may be on their way, and how many answers are remembered."""

    model_config = ConfigDict(frozen=True)

    batch_tokens: Annotated[int, Field(ge=1)] = BATCH_TOKENS
    queue_texts: Annotated[int, Field(ge=1)] = QUEUE_TEXTS
    cache_texts: Annotated[int, Field(ge=0)] = 0


def check_registry_uri(uri: str) -> str:
    """The address of a model registry: empty, a tracking server's URL, or a SQLite file.

    Raises:
        ValueError: it is none of them.
    """
    if uri and not uri.startswith(("http://", "https://", SQLITE)):
        raise ValueError("give the URL of a tracking server, or sqlite:/// and a path")
    return uri
