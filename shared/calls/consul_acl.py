"""Consul's ACLs: a policy and a token a service, made again whenever Consul has forgotten them.

`python -m shared.calls.consul_acl` keeps them made beside a Consul of our own; an operator of another Consul makes the
same policies there, as docs/kubernetes.md has them.
"""

import asyncio
import signal
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import structlog
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict, SettingsError

from shared.calls.registration import registered_name
from shared.logs import configure_logs
from shared.settings import ServiceSettings, explain

__all__ = ["Settings", "ensure", "main", "rules"]

log = structlog.get_logger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=3)
LOOK_SECONDS = 10.0
AGAIN_SECONDS = 1.0
OVERLAP_SECONDS = 600.0
INITIAL_TOKENS = ("Master Token", "Initial Management Token")
"""How Consul describes the one of its configuration, in older and in newer versions."""


class Settings(ServiceSettings):
    """Where Consul is, and the tokens that it shall know."""

    model_config = SettingsConfigDict(env_nested_delimiter="__")

    consul_management_token: SecretStr
    """Consul's initial management token."""
    consul_tokens: dict[str, SecretStr] = Field(min_length=1)
    """Tokens (UUIDs) by the names of services; `ZHIYIN_CONSUL_TOKENS__<NAME>` each."""


def rules(installation: str, name: str, *, registers: bool = True) -> str:
    """What a service may do: register itself and no other, and find its neighbours of the same installation."""
    own = f'service "{registered_name(installation, name)}" {{ policy = "write" }}'
    neighbours = f'service_prefix "{registered_name(installation, "")}" {{ policy = "read" }}'
    nodes = 'node_prefix "" { policy = "read" }'
    return "\n".join([own, neighbours, nodes] if registers else [neighbours, nodes])


async def ensure(
    url: str,
    management: str,
    installation: str,
    tokens: Mapping[str, str],
    *,
    readers: Collection[str] = (),
    overlap: float = OVERLAP_SECONDS,
) -> None:
    """Makes what is missing and takes away the tokens that were replaced; what is right stays as it is.

    Args:
        readers: names of tokens that register nothing.
        overlap: for so many seconds a token is good after it was replaced. Consul takes an instance out of its catalog
            by the token that registered it, and would list it for ever otherwise.

    Raises:
        aiohttp.ClientError: Consul does not answer, or refuses the management token.
    """
    headers = {"X-Consul-Token": management}
    async with aiohttp.ClientSession(url, timeout=TIMEOUT, headers=headers) as session:
        policies = {each["Name"]: each["ID"] for each in await _call(session, "GET", "/v1/acl/policies")}
        for name, token in tokens.items():
            policy = registered_name(installation, name)
            wanted = rules(installation, name, registers=name not in readers)
            await _ensure_policy(session, policies.get(policy), policy, wanted)
            await _ensure_token(session, policy, token, overlap)
        await _forget_managers(session)


async def _ensure_policy(session: aiohttp.ClientSession, known: str | None, name: str, wanted: str) -> None:
    if known is None:
        await _call(session, "PUT", "/v1/acl/policy", {"Name": name, "Rules": wanted})
    elif (await _call(session, "GET", f"/v1/acl/policy/{known}"))["Rules"] != wanted:
        await _call(session, "PUT", f"/v1/acl/policy/{known}", {"ID": known, "Name": name, "Rules": wanted})


async def _ensure_token(session: aiohttp.ClientSession, policy: str, secret: str, overlap: float) -> None:
    async with session.get("/v1/acl/token/self", headers={"X-Consul-Token": secret}) as answer:
        own = await answer.json() if answer.status == 200 else {}
    if policy not in {each["Name"] for each in own.get("Policies") or ()}:
        wanted = {"SecretID": secret, "Description": policy, "Policies": [{"Name": policy}]}
        own = await _call(session, "PUT", "/v1/acl/token", wanted)
        log.info("consul_token_made", policy=policy)
    if datetime.now(UTC) - datetime.fromisoformat(own["CreateTime"]) < timedelta(seconds=overlap):
        return
    for token in await _call(session, "GET", "/v1/acl/tokens"):
        if token["Description"] == policy and token["AccessorID"] != own["AccessorID"]:
            await _call(session, "DELETE", f"/v1/acl/token/{token['AccessorID']}")
            log.info("consul_token_forgotten", policy=policy)


async def _forget_managers(session: aiohttp.ClientSession) -> None:
    """Takes away the initial management tokens that were there before the one that is asked with."""
    mine = await _call(session, "GET", "/v1/acl/token/self")
    for token in await _call(session, "GET", "/v1/acl/tokens"):
        if token["Description"] in INITIAL_TOKENS and token["AccessorID"] != mine["AccessorID"]:
            await _call(session, "DELETE", f"/v1/acl/token/{token['AccessorID']}")
            log.info("consul_management_token_forgotten")


async def _call(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    async with session.request(method, path, json=body) as answer:
        answer.raise_for_status()
        return await answer.json()


async def _keep(settings: Settings) -> None:
    tokens = {name: token.get_secret_value() for name, token in settings.consul_tokens.items()}
    complained = False
    # The first process of a container gets no signal that it does not ask for.
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    while not stopping.is_set():
        pause = LOOK_SECONDS
        try:
            await ensure(
                settings.consul_url, settings.consul_management_token.get_secret_value(), settings.installation, tokens
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if not complained:
                log.warning("consul_tokens_not_made", error=type(error).__name__, detail=str(error))
            complained, pause = True, AGAIN_SECONDS
        else:
            complained = False
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)


def main() -> None:
    """Keeps the policies and tokens of the settings made until it is ended."""
    try:
        settings = Settings()
    except (ValueError, SettingsError) as error:
        sys.exit(f"the settings cannot be used: {explain(error)}")
    configure_logs("consul-acl", settings.log_level)
    asyncio.run(_keep(settings))


if __name__ == "__main__":
    main()
