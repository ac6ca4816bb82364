"""Settings of the understanding server."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from services.intent.limits import BATCH_TOKENS, CACHE_TEXTS, QUEUE_TEXTS, check_registry_uri
from shared.contracts.understanding import MAX_TEXTS
from shared.nlu.engines.backends import Backend
from shared.nlu.engines.runtime import Precision
from shared.settings import ServiceSettings
from shared.zones import zone_of

__all__ = ["Settings"]

EVERY_MODEL = "*"

ModelName = Annotated[
    str, StringConstraints(max_length=128, pattern=r"^(\*|([a-z0-9][a-z0-9_-]{0,62}\.)?[a-z0-9_-]+)$")
]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(ServiceSettings):
    """Which models are served, and with how much of the machine.

    `models` are loaded at the start, as far as the budget goes; the others, and with `*` every model below `home` that
    has a version in production, when somebody asks for them. A model of another tenant is called `tenant.name`.

    `inference_backend` of `auto` takes PyTorch where it has a CUDA device, else the library that measures fastest;
    `inference_streams` of 0 takes one a core, or two on a GPU; `inference_precision` of `auto` takes the fastest that
    changes no decision, int8 among them where the model has it.
    `timezone` is where the "today" of callers is who name none; an assistant's conversations have its own.
    """

    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=16)] = ("shop",)
    inference_backend: Backend = "auto"
    inference_streams: Annotated[int, Field(ge=0, le=256)] = 0
    inference_precision: Precision = "auto"
    batch_tokens: Annotated[int, Field(ge=1)] = BATCH_TOKENS
    queue_texts: Annotated[int, Field(ge=MAX_TEXTS)] = QUEUE_TEXTS
    cache_texts: Annotated[int, Field(ge=0, le=100_000)] = CACHE_TEXTS
    """How many answers each version remembers for texts that come again; 0 for none."""
    timezone: str = "UTC"

    mlflow_uri: str = ""
    """The tracking server's URL, or `sqlite:///` and a path; by default `mlflow.db` in `home`.

    Of a SQLite file it is read what learning wrote down beside it.
    """
    model_poll_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often MLflow is asked which versions the aliases name."""
    golden_margin: Share = 0.02
    """How much less of its golden set a new version may get right than after training."""
    worse_margin: Share = 0.05
    """How much less than the version in production it may get right of that one's golden set."""
    max_slowdown: Annotated[float, Field(ge=1)] = 2.0
    """How many times the time of the version in production a new one, or a canary, may take."""
    watch_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """For so long after a swap the version before is kept in memory, to come back if the new one does badly."""
    canary_share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    shadow_share: Share = 0.1
    canary_agreement: Share = 0.8
    """The share of texts on which a canary has to agree with production."""
    memory_budget_mb: Annotated[int, Field(ge=0)] = 0
    """What models may take together, in MB; 0 is no limit."""

    @field_validator("mlflow_uri")
    @classmethod
    def _names_a_registry(cls, uri: str) -> str:
        return check_registry_uri(uri)

    @model_validator(mode="after")
    def _timezone_is_known(self) -> Self:
        try:
            zone_of(self.timezone)
        except ValueError as error:
            raise ValueError(f"ZHIYIN_TIMEZONE: {error}") from error
        return self

    def today(self, timezone: str = "") -> date:
        """The day that relative dates are seen from, in this zone or that of the settings.

        Raises:
            ValueError: there is no such time zone.
        """
        return datetime.now(zone_of(timezone or self.timezone)).date()
