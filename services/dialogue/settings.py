"""Settings of the dialogue service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.settings import ServiceSettings

__all__ = ["Settings"]

Seconds = Annotated[float, Field(gt=0)]


class Settings(ServiceSettings):
    """What dialogue needs beyond what every service has."""

    assistant: Path = Path("assistants/shop")

    understand_seconds: Seconds = 3.0
    """Within this the intent service answers, or the customer gets an apology."""
    lookup_seconds: Seconds = 3.0
    answer_seconds: Seconds = 10.0
    """How long a POST waits for the replies; later ones come by stream or by reading on."""

    lease_seconds: Seconds = 3.0
    recover_after_seconds: Seconds = 3.0
    """A message that is unanswered for so long is picked up by whichever replica sees it first."""

    max_failures: Annotated[int, Field(ge=1, le=50)] = 8
    """An action that business refuses, or whose result cannot be told, is given up after so many attempts."""
    resend_first_seconds: Seconds = 8.0
    resend_most_seconds: Seconds = 300.0
