"""Settings common to all services: read once from the environment, then frozen."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["DEVELOPMENT_SECRET", "ServiceSettings", "explain"]

DEVELOPMENT_SECRET = "development-only"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]

TENANT = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""Names of tenants; "*" is none, because it stands for all of them."""
INSTALLATION = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
"""Names of installations: a part of names in Consul and of keys in Redis."""


class ServiceSettings(BaseSettings):
    """The settings of a service; each field is the environment variable `ZHIYIN_<NAME>`."""

    # A refused value may be a secret, so errors name only the setting.
    model_config = SettingsConfigDict(
        env_prefix="ZHIYIN_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    environment: Literal["development", "production"] = "production"
    """Development, and with it the demo, is said aloud: what is forgotten must not open anything."""
    installation: Annotated[str, Field(pattern=INSTALLATION)] = "zhiyin"
    """Keeps the names in Consul and the keys in Redis apart where several installations share one of them."""
    tenant: Annotated[str, Field(pattern=TENANT)] = "default"
    home: Path = Path(".zhiyin")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    host: str = "127.0.0.1"
    port: Port = 0
    advertise_host: str = "127.0.0.1"
    instance: str | None = None
    zone: str = ""
    drain_seconds: Annotated[float, Field(ge=0)] = 1.0
    """From deregistering until no more connections are accepted: time for callers to notice."""
    stop_seconds: Annotated[int, Field(ge=0)] = 15
    """How long running requests may continue after that."""
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """A separate port for /metrics, which is then not served on `port`."""
    max_connections: Annotated[int, Field(gt=0)] = 10_000
    """Further ones are refused, except for health checks."""
    max_header_bytes: Annotated[int, Field(ge=1024)] = 32_768
    """Of a request line and its headers."""
    max_body_bytes: Annotated[int, Field(gt=0)] = 1_000_000
    header_seconds: Seconds = 10.0
    """From a client's connection, or the first byte of its next request, until the headers are complete."""
    body_seconds: Seconds = 30.0
    """From there until the body is complete."""
    api_docs: bool | None = None
    """Whether /docs shows the API as a page; where it is not said, outside production."""
    hsts_seconds: Annotated[int, Field(ge=0)] = 31_536_000
    """For how long browsers that came by TLS come by nothing else (Strict-Transport-Security); 0 does not say so."""

    registry: Literal["consul", "kubernetes", "static"] = "static"
    consul_url: str = "http://127.0.0.1:8020"
    consul_token: SecretStr = SecretStr("")
    """The ACL token for Consul; empty where it has no ACLs."""
    login_url: str = ""
    """Where keys, tokens and log-ins come from, `http://host:port` or `https://…`; no registry is asked for it.
    Empty takes login's address from `static_services`, or its Service in a cluster."""
    static_services: dict[str, str] = Field(default_factory=dict)
    kubernetes_service: str = "http://{name}:80"
    reconcile_seconds: Seconds = 5.0

    redis_url: str = "redis://127.0.0.1:8010/0"
    database_url: str = ""
    migrate_on_start: bool = True
    """Whether the service migrates its tables itself; otherwise it waits until they are at the newest schema."""
    database_wait_seconds: Seconds = 60.0
    """How long a start waits for the database, and for its schema."""

    issuer: str = "zhiyin"
    revocations_seconds: Seconds = 2.0
    """How often login is asked which sessions were ended."""
    client_id: str = ""
    client_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)

    faults: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refuse_development_values_in_production(self) -> Self:
        if self.environment == "production":
            for name in type(self).model_fields:
                value = getattr(self, name)
                if isinstance(value, SecretStr) and value.get_secret_value() == DEVELOPMENT_SECRET:
                    if name == "client_secret" and not self.client_id:
                        continue
                    raise ValueError(f"ZHIYIN_{name.upper()} still has its development value; set a secret of your own")
            if self.faults:
                raise ValueError("ZHIYIN_FAULTS injects failures and is refused outside development")
        return self

    @property
    def shows_docs(self) -> bool:
        """Whether /docs is there."""
        return self.environment == "development" if self.api_docs is None else self.api_docs

    def database(self, service: str) -> str:
        """The URL of the service's database: the one that is set, else a SQLite file below `home`."""
        if self.database_url:
            return self.database_url
        return f"sqlite+aiosqlite:///{self.home.absolute() / 'data' / f'{service}.sqlite'}"


def explain(error: Exception) -> str:
    """One line about what is wrong with settings; it names the variables and repeats no value."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        (f"ZHIYIN_{'_'.join(map(str, each['loc'])).upper()}: " if each["loc"] else "")
        + each["msg"].removeprefix("Value error, ")
        for each in error.errors(include_input=False, include_url=False)
    )
