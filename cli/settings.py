"""Settings of the command line: where the state is, and which ports one machine's Zhiyin listens on."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cli.errors import UsageError

__all__ = ["PROJECT", "CommandSettings", "assistant_folder", "load_settings"]

Port = Annotated[int, Field(ge=1, le=65535)]

PROJECT = Path(__file__).resolve().parents[1]


class CommandSettings(BaseSettings):
    """The settings of `zhiyin`; each field is the variable `ZHIYIN_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="ZHIYIN_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Path(".zhiyin")
    host: str = "127.0.0.1"
    registry: Literal["consul", "static"] = "consul"
    mlflow_uri: str = ""
    start_seconds: Annotated[float, Field(gt=0)] = 90.0

    dialogue_port: Port = 8000
    login_port: Port = 8001
    intent_port: Port = 8002
    business_port: Port = 8003
    worker_port: Port = 8004
    redis_port: Port = 8010
    consul_port: Port = 8020
    consul_server_port: Port = 8021
    consul_gossip_port: Port = 8022
    shop_port: Port = 8030


def load_settings() -> CommandSettings:
    """The settings of this process.

    Raises:
        UsageError: a variable has a value that cannot be used; says which and why.
    """
    try:
        return CommandSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise UsageError(
            f"ZHIYIN_{name}={first['input']} cannot be used: {first['msg'].removeprefix('Value error, ')}."
        ) from error


def assistant_folder(given: Path) -> Path:
    """The folder of an assistant, named from here, from the project's folder or by its bare name.

    Raises:
        UsageError: there is no assistant.
    """
    for folder in (given, PROJECT / given, PROJECT / "assistants" / given):
        if (folder / "assistant.yml").is_file():
            return folder.resolve()
    raise UsageError(f"There is no assistant in {given} (no assistant.yml); the demo is assistants/shop.")
