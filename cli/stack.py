"""The programs that make up Zhiyin on one machine: how each is started, and how it is known to be ready."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import redis.asyncio
from redis.exceptions import RedisError

from cli.bootstrap import Bootstrap, load_secret
from cli.consul_process import Registry
from cli.consul_tokens import READER, REGISTERED
from cli.home import Home
from cli.process import Condition, Program
from cli.settings import PROJECT
from shared.calls.consul_acl import ensure
from shared.nlu.training_data import load_manifest

__all__ = ["SERVICES", "Ports", "Stack", "has_shop"]

SERVICES = REGISTERED
"""The services in the order in which they are started."""
DEFAULT_INSTALLATION = "zhiyin"
DEFAULT_TENANT = "default"

DEMO = PROJECT / "assistants" / "shop"
DEMO_SYSTEM = "examples.shop"
"""The demo assistant, and the system of its company, which runs beside it; no other assistant needs one of ours."""
REACHES_SYSTEMS = ("business", "worker")

LOOK_SECONDS = 2.0
LIVE_SECONDS = 10.0
"""So long a service may keep the question waiting whether it is alive: a training may have taken all cores."""
DRAIN_SECONDS = 0.2
STOP_SECONDS = 3


def has_shop(assistant: Path) -> bool:
    """Whether it is the demo assistant, beside which the demo shop's own system runs."""
    return assistant.resolve() == DEMO and (DEMO / "connectors" / "shop.yml").is_file()


@dataclass(frozen=True, kw_only=True)
class Ports:
    """A port for everything that listens."""

    dialogue: int
    login: int
    intent: int
    business: int
    worker: int
    redis: int
    consul: int
    consul_server: int
    consul_gossip: int
    learning: int
    shop: int

    def of(self, service: str) -> int:
        """The port of a service by its name."""
        return int(getattr(self, service))


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Everything that the programs' commands and environments are made from; without `consul`, addresses are fixed."""

    home: Home
    ports: Ports
    redis: Path
    consul: Path | None
    bootstrap: Bootstrap
    assistant: Path
    host: str = "127.0.0.1"
    ready_seconds: float = 90.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def consul_url(self) -> str:
        """Where Consul's HTTP API is."""
        return f"http://127.0.0.1:{self.ports.consul}"

    @property
    def installation(self) -> str:
        """The prefix of the services' names in Consul."""
        return self.environment.get("ZHIYIN_INSTALLATION") or DEFAULT_INSTALLATION

    @property
    def registry(self) -> Registry:
        """Consul, for who looks what runs."""
        return Registry(self.consul_url, self.bootstrap.consul.services[READER], self.installation)

    @property
    def redis_url(self) -> str:
        """Where Redis is, with its password."""
        return f"redis://:{self.bootstrap.redis_password}@127.0.0.1:{self.ports.redis}/0"

    @property
    def _is_development(self) -> bool:
        return self.environment.get("ZHIYIN_ENVIRONMENT", "development") == "development"

    @property
    def _is_demo(self) -> bool:
        return self._is_development and (self.host == "127.0.0.1" or "ZHIYIN_DEMO_PUBLIC" in self.environment)

    @property
    def _has_demo_data(self) -> bool:
        wanted = self.environment.get("ZHIYIN_SEED_DEMO", "true").lower() not in ("false", "0", "no", "off")
        return self._is_development and wanted

    @property
    def _redis_data(self) -> Path:
        return self.home.data / "redis"

    @property
    def _consul_data(self) -> Path:
        return self.home.data / "consul"

    @property
    def _shop_key(self) -> str:
        """The shop's key, in the file in which business looks for the secret `shop` of the assistant `shop`."""
        tenant = self.environment.get("ZHIYIN_TENANT") or DEFAULT_TENANT
        path = self.home.secrets / tenant / "shop" / "shop"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return load_secret(path)

    def prepare(self) -> None:
        """Makes the folders of the data, and clears Consul's: what a killed run left registered exists no more."""
        shutil.rmtree(self._consul_data, ignore_errors=True)
        for folder in (self._consul_data, self._redis_data):
            folder.mkdir(parents=True, exist_ok=True)

    def stages(self) -> list[list[Program]]:
        """Every program, in groups that are started one after another."""
        infrastructure = [self.redis_program()] + ([self.consul_program()] if self.consul else [])
        if has_shop(self.assistant):
            infrastructure.append(self.shop_program())
        return [
            infrastructure,
            [self.service_program(name) for name in SERVICES if name != "dialogue"],
            [self.service_program("dialogue")],
        ]

    def redis_program(self) -> Program:
        """Redis: every write is logged, and nothing is ever thrown out to make room."""
        return Program(
            name="redis",
            command=(
                str(self.redis),
                str(self.bootstrap.redis_conf),
                *("--bind", "127.0.0.1"),
                *("--port", str(self.ports.redis)),
                *("--dir", str(self._redis_data)),
                *("--appendonly", "yes"),
                *("--save", ""),
                *("--maxmemory-policy", "noeviction"),
            ),
            environment=self.environment,
            ready=redis_answers(self.redis_url),
            ready_seconds=self.ready_seconds,
            address=f"127.0.0.1:{self.ports.redis}",
        )

    def consul_program(self) -> Program:
        """Consul: one server, on the loopback address only; ready when the services' tokens are known to it."""
        return Program(
            name="consul",
            command=(
                str(self.consul),
                "agent",
                "-server",
                "-bootstrap-expect=1",
                "-node=zhiyin",
                "-bind=127.0.0.1",
                "-client=127.0.0.1",
                f"-data-dir={self._consul_data}",
                # The management token is in a file, because arguments are visible to every user of the machine.
                f"-config-file={self.bootstrap.consul.agent}",
                f"-http-port={self.ports.consul}",
                f"-server-port={self.ports.consul_server}",
                f"-serf-lan-port={self.ports.consul_gossip}",
                "-serf-wan-port=-1",
                "-dns-port=-1",
                "-grpc-port=-1",
                "-hcl=disable_update_check = true",
                "-hcl=performance { raft_multiplier = 1 }",
            ),
            environment=self.environment,
            ready=self._consul_answers,
            ready_seconds=self.ready_seconds,
            address=f"127.0.0.1:{self.ports.consul}",
        )

    def shop_program(self) -> Program:
        """The demo shop's own system, on the loopback address only; its key is in no argument."""
        address = f"127.0.0.1:{self.ports.shop}"
        return Program(
            name="shop",
            command=(
                *(sys.executable, "-m", DEMO_SYSTEM),
                *("--host", "127.0.0.1"),
                *("--port", str(self.ports.shop)),
                *("--data", str(self.home.data / "shop")),
            ),
            environment={
                **self.environment,
                "PYTHONPATH": str(PROJECT),
                "SHOP_API_KEY": self._shop_key,
                "SHOP_EMPTY": str(not self._has_demo_data).lower(),
            },
            ready=http_answers(f"http://{address}/health"),
            live=http_answers(f"http://{address}/health", seconds=LIVE_SECONDS),
            ready_seconds=self.ready_seconds,
            address=address,
        )

    def _connectors(self) -> str:
        """Where the demo shop is, for its connector; what the person set stays."""
        shop = {"shop.shop": {"url": f"http://127.0.0.1:{self.ports.shop}", "networks": ["127.0.0.0/8"]}}
        try:
            given = json.loads(self.environment.get("ZHIYIN_CONNECTORS") or "{}")
        except ValueError:
            given = None
        # What cannot be read is refused by the services, with a sentence that says what is wrong with it.
        return json.dumps(shop | given) if isinstance(given, dict) else self.environment["ZHIYIN_CONNECTORS"]

    async def _consul_answers(self) -> bool:
        tokens = self.bootstrap.consul
        try:
            await ensure(self.consul_url, tokens.management, self.installation, tokens.services, readers={READER})
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return True

    def service_program(
        self,
        service: str,
        *,
        name: str | None = None,
        port: int | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Program:
        """A service; `name`, `port` and `extra` variables make it another instance of the same one."""
        port = port or self.ports.of(service)
        address = self.address_of(service, port)
        return Program(
            name=name or service,
            command=(sys.executable, "-m", "shared.http", service),
            environment={**self.service_environment(service), "ZHIYIN_PORT": str(port), **(extra or {})},
            ready=http_answers(f"http://{address}/health/ready"),
            live=http_answers(f"http://{address}/health/live", seconds=LIVE_SECONDS),
            ready_seconds=self.ready_seconds,
            address=address,
        )

    def address_of(self, service: str, port: int | None = None) -> str:
        """Where a program on this machine finds a service: host:port."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"{host}:{port or self.ports.of(service)}"

    def service_environment(self, service: str) -> dict[str, str]:
        """The variables of a service: those of this process, then what this machine's stack decides."""
        addresses = {name: f"127.0.0.1:{self.ports.of(name)}" for name in SERVICES if name != "worker"}
        own = {
            "ZHIYIN_HOME": str(self.home.root),
            "ZHIYIN_HOST": self.host,
            "ZHIYIN_REGISTRY": "consul" if self.consul else "static",
            "ZHIYIN_CONSUL_URL": self.consul_url,
            "ZHIYIN_STATIC_SERVICES": json.dumps(addresses),
            "ZHIYIN_LOGIN_URL": f"http://{addresses['login']}",
            "ZHIYIN_REDIS_URL": self.redis_url,
            "ZHIYIN_ASSISTANT": str(self.assistant.absolute()),
            "ZHIYIN_MODELS": json.dumps([load_manifest(self.assistant).name]),
            "PYTHONUNBUFFERED": "1",
        }
        if self.bootstrap.client_secret(service):
            own |= {"ZHIYIN_CLIENT_ID": service, "ZHIYIN_CLIENT_SECRET": self.bootstrap.client_secret(service)}
        if service == "login":
            own["ZHIYIN_BOOTSTRAP_FILE"] = str(self.bootstrap.path)
            own["ZHIYIN_LOGIN_SECRET"] = self.bootstrap.login_secret
        if has_shop(self.assistant) and service in REACHES_SYSTEMS:
            own["ZHIYIN_CONNECTORS"] = self._connectors()
        if self.consul:
            own["ZHIYIN_CONSUL_TOKEN"] = self.bootstrap.consul.services[service]
        defaults = {
            # One machine is for trying out and for work on Zhiyin itself; strangers are no customers of the demo.
            "ZHIYIN_ENVIRONMENT": "development",
            "ZHIYIN_DEMO": str(self._is_demo).lower(),
            "ZHIYIN_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "ZHIYIN_STOP_SECONDS": str(STOP_SECONDS),
        }
        return {**defaults, **self.environment, **own}


def http_answers(url: str, *, seconds: float = LOOK_SECONDS) -> Condition:
    """Whether a GET of `url` is answered with 200 in time."""

    async def look() -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
                session.get(url) as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    return look


def redis_answers(url: str) -> Condition:
    """Whether Redis has read its data and takes commands."""

    async def look() -> bool:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=LOOK_SECONDS, socket_connect_timeout=LOOK_SECONDS)
        try:
            return bool(await client.ping())
        except (RedisError, OSError, TimeoutError):
            return False
        finally:
            await client.aclose()

    return look
