"""Settings of the login service."""

from collections.abc import Collection
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from shared.settings import DEVELOPMENT_SECRET, Port, Seconds, ServiceSettings

__all__ = ["Settings"]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

Count = Annotated[int, Field(gt=0)]
DEMO_CUSTOMER = "C1001"
MIN_SECRET = 32


class Settings(ServiceSettings):
    """What login needs beyond what every service has; lifetimes and periods are in seconds."""

    port: Port = 8001

    login_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    """Encrypts the signing keys in the database and derives refresh tokens; the same for all replicas."""
    login_secret_accepted: SecretStr = SecretStr("")
    """The one before, accepted beside it for as long as what it made is good; nothing new is made with it."""
    signing_keys_file: Path | None = None
    """A JWK set with private keys, for clusters that keep keys in a secret store; the first key signs."""
    bootstrap_file: Path | None = None

    access_seconds: Seconds = 15 * MINUTE
    staff_access_seconds: Seconds = 5 * MINUTE
    """For everybody with another role than `customer`."""
    service_seconds: Seconds = 1 * HOUR
    client_overlap_seconds: Annotated[float, Field(ge=0)] = 1 * HOUR
    """For so long after a service's secret was replaced the one before is good too, for pods that still have it."""
    refresh_seconds: Seconds = 30 * DAY
    """A refresh token that is not used for so long is worth nothing."""
    session_seconds: Seconds = 90 * DAY
    """After so long a person has to log in again, however active they were."""
    refresh_grace_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Within this the same refresh token may come twice (two tabs, a lost answer); 0 is strict."""

    key_rotation_seconds: Seconds = 30 * DAY
    key_publish_seconds: Seconds = 1 * HOUR
    """How long a key is published before it signs; above the time for which verifiers keep keys."""
    upkeep_seconds: Seconds = 60.0

    argon2_memory_kib: Annotated[int, Field(ge=8)] = 19_456
    argon2_iterations: Count = 2
    argon2_parallelism: Count = 1
    password_threads: Count = 4
    password_queue: Count = 64
    """Passwords that may wait for a thread; more are refused with a 503."""

    demo: bool = False
    """Whether every guest is the demo's customer; refused in production."""
    demo_public: bool = False
    """Whether that may be so where other machines reach this one, by `host`."""
    guest_customer: str | None = None
    """The customer whom every guest speaks for instead of the demo's; refused in production too."""

    registration: bool = True
    """Whether people may make accounts for themselves; otherwise administrators make them."""
    change_initial_passwords: bool | None = None
    """Whether staff have to replace the password that they were given when they first log in; by default they do,
    except in development."""
    initial_password_days: Count = 30
    """For so long such a password is good."""

    failure_window_seconds: Seconds = 15 * MINUTE
    failures_per_account_and_address: Count = 10
    """Of one account from one address; the same for an account from a device that has logged in to it before."""
    failures_per_address: Count = 100
    failures_per_account: Count = 50
    """Of one account from everywhere; beyond it each further attempt waits `failure_delay_seconds`, except from a
    device that has logged in before."""
    failure_delay_seconds: Annotated[float, Field(ge=0)] = 2.0
    failures_in_all: Count = 500
    """Of one account from everywhere; beyond it only devices that have logged in before may try."""
    device_days: Count = 180
    """For so long after a log-in a device is known."""
    registrations_per_address: Count = 120
    """An hour."""
    requests_per_address: Count = 600
    """Guests, and as many asks for service tokens, a minute."""
    audit_days: Count = 180

    @model_validator(mode="after")
    def _refuse_what_is_unsafe_in_production(self) -> Self:
        if self.environment == "production":
            for name, opens in (("DEMO", self.demo), ("GUEST_CUSTOMER", self.guest_customer)):
                if opens:
                    raise ValueError(f"ZHIYIN_{name} makes strangers a customer and is refused outside development")
            for name, secret in (
                ("LOGIN_SECRET", self.login_secrets[0]),
                ("LOGIN_SECRET_ACCEPTED", self.login_secrets[-1]),
            ):
                if len(secret) < MIN_SECRET:
                    raise ValueError(f"ZHIYIN_{name} needs {MIN_SECRET} random characters or more")
        if self.customer_of_guests and not self.demo_public and not is_loopback(self.host):
            raise ValueError(
                f"every guest is customer {self.customer_of_guests}, and ZHIYIN_HOST lets other machines in; "
                "set ZHIYIN_DEMO_PUBLIC=true if that is meant, else ZHIYIN_DEMO=false and no ZHIYIN_GUEST_CUSTOMER"
            )
        return self

    @property
    def login_secrets(self) -> tuple[str, ...]:
        """The login secret, and after it the one that is accepted too, if there is one."""
        return tuple(
            each.get_secret_value()
            for each in (self.login_secret, self.login_secret_accepted)
            if each is self.login_secret or each.get_secret_value()
        )

    @property
    def customer_of_guests(self) -> str | None:
        """The customer number in the token of a guest."""
        if self.guest_customer is None and self.demo:
            return DEMO_CUSTOMER
        return self.guest_customer or None

    @property
    def initial_passwords_change(self) -> bool:
        """Whether passwords that somebody else chose have to be replaced."""
        if self.change_initial_passwords is None:
            return self.environment != "development"
        return self.change_initial_passwords

    def initial_until(self, roles: Collection[str], moment: datetime) -> datetime | None:
        """Until when a password that somebody else sets now is good for staff; one of a customer does not expire."""
        return None if set(roles) <= {"customer"} else moment + timedelta(days=self.initial_password_days)

    @property
    def longest_token_seconds(self) -> float:
        """For so long a key must be published after its last signature."""
        return max(self.longest_access_seconds, self.service_seconds)

    @property
    def longest_access_seconds(self) -> float:
        """For so long a session that was ended must be known."""
        return max(self.access_seconds, self.staff_access_seconds)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
