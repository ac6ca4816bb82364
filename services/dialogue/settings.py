"""Settings of the dialogue service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.http.client_address import Network
from shared.settings import ServiceSettings

__all__ = ["Settings"]

Seconds = Annotated[float, Field(gt=0)]


class Settings(ServiceSettings):
    """What dialogue needs beyond what every service has."""

    assistant: Path = Path("assistants/shop")
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed: the networks of the proxies before dialogue, and nobody else's."""

    understand_seconds: Seconds = 3.0
    """Within this the intent service answers, or the customer gets an apology."""
    lookup_seconds: Seconds = 3.0
    answer_seconds: Seconds = 10.0
    """How long a POST waits for the replies; later ones come by stream or by reading on."""

    lease_seconds: Seconds = 3.0
    recover_after_seconds: Seconds = 3.0
    """A message that is unanswered for so long is picked up by whichever replica sees it first."""

    resend_first_seconds: Seconds = 8.0
    resend_most_seconds: Seconds = 300.0
