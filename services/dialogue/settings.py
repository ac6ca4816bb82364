"""Settings of the dialogue service."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.dialogue.assistant.formats import is_currency
from shared.http.client_address import Network
from shared.settings import TENANT, ServiceSettings
from shared.zones import zone_of

__all__ = ["Company", "Settings"]


def _known_zone(name: str) -> str:
    zone_of(name)
    return name


def _known_currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError(f"there is no currency {code!r}; one is, for example, 'CNY'")
    return code


Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class Company(BaseModel):
    """Where a company's days begin and what it counts in, where that is not what the assistant's file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Annotated[str, AfterValidator(_known_zone)] | None = None
    currency: Annotated[str, AfterValidator(_known_currency)] | None = None


class Settings(ServiceSettings):
    """What dialogue needs beyond what every service has."""

    assistant: Path = Path("assistants/shop")
    companies: dict[Annotated[str, Field(pattern=TENANT)], Company] = Field(default_factory=dict)
    """By tenant, as JSON: `{"acme": {"timezone": "America/New_York", "currency": "USD"}}`."""

    root_path: Annotated[str, Field(pattern=r"^$|^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$")] = ""
    """The path of a shared host below which customers reach it, such as `/help`."""

    frame_ancestors: Annotated[str, Field(pattern=r"^[A-Za-z0-9'*:/. -]+$")] = "'self'"
    """The sites that may show the chat page in a frame, as the Content-Security-Policy writes them."""

    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed: the networks of the proxies before dialogue, and nobody else's."""

    messages_per_minute: Count = 20
    """Of one person; `messages_burst` at once before that counts."""
    messages_burst: Count = 30
    conversations_per_minute: Count = 10
    streams_at_once: Count = 5
    """Of one person, at one replica."""
    people_per_address: Count = 30
    """One address of the Internet may ask for as much as so many people: offices and phone networks share one."""
    turns_waiting: Count = 1000
    """Messages that wait for their answer at one replica; more are refused with a 503."""

    understand_seconds: Seconds = 3.0
    """Within this the intent service answers, or the customer gets an apology."""
    lookup_seconds: Seconds = 3.0
    answer_seconds: Seconds = 10.0
    """How long a POST waits for the replies; later ones come by stream or by reading on."""

    lease_seconds: Seconds = 3.0
    recover_after_seconds: Seconds = 3.0
    """A message that is unanswered for so long is picked up by whichever replica sees it first."""
    turn_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """After so many failed turns on a message the customer gets an apology, and a person gets the conversation."""
    retry_first_seconds: Seconds = 1.0
    """The pause after the first failed turn; each next one is twice as long, up to the longest, less some chance."""
    retry_most_seconds: Seconds = 60.0
    session_seconds: Seconds = 1800.0
    """What a conversation was in the middle of is dropped when nothing has happened in it for so long."""

    conversation_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """A conversation in which nothing has happened for so many days is deleted, unless a person has it or something in
    it is under way; 0 keeps all of them."""

    max_failures: Annotated[int, Field(ge=1, le=50)] = 8
    """An action that business refuses, or whose result cannot be told, is given up after so many attempts."""
    resend_first_seconds: Seconds = 8.0
    resend_most_seconds: Seconds = 300.0
