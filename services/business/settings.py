"""Settings of the business service and of its worker."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.assistants.addresses import Network
from shared.queue.celery import HARD_LIMIT_SECONDS
from shared.settings import ServiceSettings

__all__ = ["ConnectorSettings", "Settings"]

PROJECT = Path(__file__).resolve().parents[2]

Seconds = Annotated[float, Field(gt=0)]


ConnectorKey = Annotated[
    str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,62}/)?[a-z][a-z0-9_-]{0,63}\.[a-z][a-z0-9_]{0,63}$")
]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]


class ConnectorSettings(BaseModel):
    """What an installation says of a connector: it knows where the system is, and what may be reached from here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url | None = None
    """Replaces the address in the connector's file."""
    networks: tuple[Network, ...] = ()
    """Private, loopback and link-local networks in which this system may be; by itself none is reached."""


class Settings(ServiceSettings):
    """What business needs beyond what every service has."""

    assistant: Path = PROJECT / "assistants" / "shop"
    """The assistant's folder, as for dialogue; business reads its rules."""
    seed_demo: bool = True
    """Whether the demo shop's customers and orders are there; in development only."""
    connectors: dict[ConnectorKey, ConnectorSettings] = Field(default_factory=dict)
    """By `<assistant>.<connector>` for the installation's own tenant, by `<tenant>/<assistant>.<connector>` for any."""
    secrets: Path | None = None
    """The folder of the connectors' secrets, each a file `<tenant>/<assistant>/<name>`; by default `<home>/secrets`."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """An action that failed so often is given up and waits for an operator."""
    action_seconds: Seconds = 45.0
    """An action that takes longer is rolled back and counts as failed."""
    hard_limit_seconds: Annotated[int, Field(ge=1, le=HARD_LIMIT_SECONDS)] = HARD_LIMIT_SECONDS
    """After so long the process that performs an action is killed."""
    retry_seconds: Seconds = 1.0
    """The first pause before a failed action is tried again; it doubles."""

    relay_seconds: Seconds = 1.0
    """How often unpublished results and actions that got stuck are looked for."""
    resend_seconds: Seconds = 30.0
    """An action that was started and is not done so long after its time ran out is put on the queue again."""

    tickets_per_customer: Annotated[int, Field(ge=1)] = 20
    """Complaints of one customer that may be open; another one is refused, and they are told so."""
    action_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """An action that ended so many days ago is deleted from the ledger; 0 keeps all of them."""

    concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that perform actions side by side."""
    stall_seconds: Seconds = 45.0
    """A Celery that does not turn for so long, with its queue there, is started again."""
    warm_stop_seconds: Seconds = 10.0
    """How long a stopping worker waits for the actions in hand; what is cut off is done again later."""

    keep_trying_seconds: Seconds = 6 * 3600.0
    """For so long an action is tried while its company's system is away and nothing has happened; the pauses grow."""
    longest_pause_seconds: Seconds = 600.0
    """The longest pause between two of these attempts, unless the system asks for a longer one, up to an hour."""
    unknown_seconds: Seconds = 300.0
    """After so long an action of which nobody knows whether it happened is told to its customer and to an operator."""
    ask_again_seconds: Seconds = 300.0
    """After so long it is asked about again, or repeated where that does no harm; the pauses grow to an hour."""
    ask_again_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """For so long; then it is left to the operator."""

    @property
    def has_connectors(self) -> bool:
        """Whether the installation's own assistant reaches its company's systems by connectors."""
        return (self.assistant / "connectors").is_dir()

    @property
    def rules_dir(self) -> Path:
        """The assistant's decision tables."""
        return self.assistant / "rules"

    @property
    def secrets_dir(self) -> Path:
        """Where the connectors' secrets are."""
        return self.secrets or self.home / "secrets"

    @property
    def business_database(self) -> str:
        """The database that the service and its worker share."""
        return self.database("business")

    @property
    def demo(self) -> bool:
        """Whether the demo data belongs here."""
        return self.seed_demo and self.environment == "development"
