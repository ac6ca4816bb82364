"""Settings of the understanding server."""

from datetime import UTC, date, datetime, tzinfo
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, model_validator

from services.intent.backends import Backend
from services.intent.model import BATCH_TOKENS
from services.intent.queue import QUEUE_TEXTS
from services.intent.runtime import Precision
from shared.settings import ServiceSettings

__all__ = ["MAX_BATCH_TEXTS", "Settings"]

MAX_BATCH_TEXTS = 64

ModelName = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_-]+$")]


class Settings(ServiceSettings):
    """Which models are served, and with how much of the machine.

    `inference_backend` of `auto` takes PyTorch where it has a CUDA device, else OpenVINO; `inference_streams` of 0
    takes one a core, or two on a GPU; `inference_precision` of `auto` takes bf16 or f16 where it changes no decision.
    `timezone` is where the customers' "today" is.
    """

    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=16)] = ("shop",)
    inference_backend: Backend = "auto"
    inference_streams: Annotated[int, Field(ge=0, le=256)] = 0
    inference_precision: Precision = "auto"
    batch_tokens: Annotated[int, Field(ge=1)] = BATCH_TOKENS
    queue_texts: Annotated[int, Field(ge=MAX_BATCH_TEXTS)] = QUEUE_TEXTS
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _timezone_is_known(self) -> Self:
        self.zone_info()
        return self

    def zone_info(self) -> tzinfo:
        """The time zone as an object."""
        if self.timezone == "UTC":
            return UTC
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"ZHIYIN_TIMEZONE: there is no time zone {self.timezone!r}") from error

    def today(self) -> date:
        """The day that relative dates are seen from."""
        return datetime.now(self.zone_info()).date()
