"""A demo shop with a real queue in front of it and a real worker behind, to be killed and started again."""

import asyncio
import os
import re
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr
from pydantic_core import to_json
from redis.asyncio import Redis as RedisClient
from sqlalchemy import func, select

from cli.ports import free_ports
from cli.process import Process, Program, wait_until
from cli.stack import http_answers
from services.business import repository
from services.business.actions.ledger import Ledger
from services.business.models import ActionRecord
from services.business.rules.rule_book import shop_rules
from services.business.settings import Settings
from services.business.shop.models import Refund
from services.business.shop.seed import seed
from shared.contracts.actions import ActionRequest, ActionResult
from shared.queue.outbox import QUEUE_ERRORS
from shared.queue.references import ACTIONS, RESULTS, References, queue_prefix
from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.externals import Redis

__all__ = ["Shop", "children", "is_running"]

READY_SECONDS = 30.0
RESULT_SECONDS = 30.0


class Shop:
    """A shop in a folder of its own; its worker can be started, killed and started again."""

    def __init__(self, folder: Path, redis: Redis, **settings: Any) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        self.redis = redis
        self.settings = Settings(
            home=folder,
            port=self.port,
            retry_seconds=0.05,
            concurrency=2,
            **{
                "redis_url": redis.url_of("worker"),
                "database_url": f"sqlite+aiosqlite:///{folder / 'business.sqlite'}",
                **settings,
            },
        )
        self.database = Database(self.settings.business_database)
        self.worker: Process | None = None
        rules = shop_rules(self.settings.rules_dir, connectors=self.settings.has_connectors)
        self.ledger = Ledger(self.database, rules, self.settings)
        self.actions_key = queue_prefix(self.settings.installation) + ACTIONS
        self._actions = References(redis.url, self.settings.installation, ACTIONS)
        self._results = References(redis.url, self.settings.installation, RESULTS)

    @property
    def url(self) -> str:
        """Where the worker's health and metrics are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything that the workers have written."""
        return (self.folder / "worker.log").read_text(encoding="utf-8")

    async def open(self) -> None:
        """Fills the shelves."""
        await asyncio.to_thread(migrate, "business", self.settings.business_database)
        await seed(self.database, "default")

    async def close(self) -> None:
        """Leaves no process and no connection behind."""
        await self.kill_worker()
        await self.database.close()
        await self._actions.close()
        await self._results.close()

    async def start_worker(self, **extra: Any) -> None:
        """Starts the worker as the product does and waits until it consumes; `extra` are further settings."""
        settings = {name: getattr(self.settings, name) for name in self.settings.model_fields_set} | extra
        plain = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in settings.items()
        }
        variables = {
            f"ZHIYIN_{name.upper()}": to_json(value).decode() if isinstance(value, dict) else str(value)
            for name, value in plain.items()
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZHIYIN_")}
        program = Program(
            name="worker",
            command=(sys.executable, "-m", "shared.http", "worker"),
            environment=inherited | variables,
            ready=http_answers(f"{self.url}/health/ready"),
            ready_seconds=READY_SECONDS,
        )
        self.worker = await Process.start(program, self.folder / "worker.log")
        await self.worker.wait_ready()

    async def kill_worker(self) -> None:
        """SIGKILL to everything that belongs to the worker, as when its machine goes away."""
        if self.worker is not None:
            await self.worker.kill()
            self.worker = None

    async def send(self, request: ActionRequest) -> None:
        """Takes an action into the ledger and has it performed, as business does when dialogue asks."""
        await self.ledger.accept(request)
        await self._actions.push(request)

    async def send_raw(self, *entries: bytes | str) -> None:
        """Puts anything on the queue."""
        async with RedisClient.from_url(self.redis.url) as stranger:
            await stranger.lpush(self.actions_key, *entries)

    def refund(self, order_number: str = "20261103003") -> ActionRequest:
        """Asks for a refund."""
        return self.action("refund", order_number=order_number, reason="太小了")

    def action(self, name: str, **arguments: Any) -> ActionRequest:
        """Asks for anything."""
        return ActionRequest(
            id=uuid.uuid4().hex,
            tenant="default",
            name=name,
            customer="C1001",
            conversation_id="conversation-1",
            arguments=arguments,
            requested_at=datetime.now(UTC),
        )

    async def result(self, request: ActionRequest, version: int = 1) -> ActionResult:
        """Reads the queue of results until the one for this action comes, and fetches it as dialogue does."""
        deadline = asyncio.get_running_loop().time() + RESULT_SECONDS
        while True:
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"no result of {request.id}:\n{self.log[-5000:]}"
            try:
                reference = await self._results.pop(min(left, 1.0))
            except QUEUE_ERRORS:
                continue
            if reference is not None and reference.id == request.id:
                result = (await self.ledger.accept(request)).result
                if result is not None and result.version == version:
                    return result

    async def record(self, request: ActionRequest) -> ActionRecord | None:
        """The action's row in the ledger."""
        async with self.database.reading("default") as session:
            return await repository.find_action(session, request.id)

    async def paid(self) -> int:
        """How many refunds were paid."""
        async with self.database.reading("default") as session:
            query = select(func.count(Refund.id)).where(Refund.status == "done")
            return await session.scalar(query) or 0

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 30.0) -> None:
        """Waits for something to become true."""
        assert await wait_until(condition, seconds), f"{what}:\n{self.log[-5000:]}"

    async def until_logged(self, text: str, times: int = 1) -> None:
        """Waits until the worker has written something so often."""

        async def logged() -> bool:
            return self.log.count(text) >= times

        await self.until(logged, f"{text!r} was not logged")

    def consumer_pid(self) -> int:
        """The process id of Celery's main process, a child of the worker's."""
        assert self.worker is not None
        return children(self.worker.pid)[0]

    async def metric(self, name: str) -> float:
        """The sum of a metric of the worker over all labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            text = await response.text()
        return sum(float(found) for found in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def children(pid: int) -> list[int]:
    """The child processes of a process, oldest first."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
