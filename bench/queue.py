"""Actions through the ledger and Celery beside plain Celery with the same tasks, in one run on one machine.

Each task is one HTTP call that has an effect in a foreign system. Plain Celery has its defaults and keeps nothing; with
the ledger each action is committed before the call and after it, and its result announced.

python -m bench.queue [--quick]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from celery.apps.worker import Worker
from redis import Redis as RedisClient

from cli.process import Process, Program, wait_until
from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.worker.consumer import create_consumer, quieten
from services.business.worker.pipe import Pipe
from shared.contracts.actions import ActionRequest
from shared.logs import configure_logs
from shared.queue.references import ACTIONS, RESULTS, References
from shared.storage.database import Database, now
from shared.storage.migrations import migrate
from tests.externals import Redis
from tests.foreign.effects import HttpEffects, opened
from tests.foreign.running import Foreign
from tests.postgres import postgres

__all__ = ["main"]

CONCURRENCY = 2
FOREIGN = "BENCH_FOREIGN"
DONE = "bench:done"
READY_SECONDS = 60.0
TENANT = "default"

Send = Callable[[int], Coroutine[Any, Any, None]]
Wait = Callable[[], Coroutine[Any, Any, None]]


def _request() -> ActionRequest:
    return ActionRequest(
        id=uuid.uuid4().hex, tenant=TENANT, name="idempotent", customer="C1", conversation_id="c1",
        arguments={"amount": 5}, requested_at=now(),
    )  # fmt: skip


def _plain(redis_url: str) -> Celery:
    """A Celery with its defaults, and one task: the call, then a key in Redis for the waiting client."""
    app = Celery("plain", broker=redis_url, set_as_current=False)
    app.conf.update(task_default_queue="plain", task_ignore_result=True, broker_connection_retry_on_startup=True)
    runner = asyncio.Runner()
    calls = opened(os.environ.get(FOREIGN, ""))
    open_now: list[HttpEffects] = []
    client = RedisClient.from_url(redis_url)

    async def call() -> None:
        if not open_now:
            open_now.append(await calls.__aenter__())
        (effects,) = open_now
        request = _request()
        prepared: Any = await effects.prepare(request, now())
        await effects.perform(request, prepared, key=request.id)

    @app.task(name="plain.call", shared=False)
    def task() -> None:
        runner.run(call())
        client.lpush(DONE, "x")

    return app


def _work(kind: str) -> None:
    """What a worker's process does."""
    settings = Settings()
    configure_logs("bench", "error")
    quieten()
    if kind == "plain":
        app = _plain(settings.redis_url)
    else:
        pipe = Pipe(os.open(os.devnull, os.O_WRONLY))
        rules = RuleBook(settings.rules_dir)
        app = create_consumer(settings, rules, pipe, lambda _settings: opened(os.environ[FOREIGN]))
    queue = "plain" if kind == "plain" else ACTIONS
    worker = Worker(
        app=app, pool_cls="prefork", concurrency=CONCURRENCY, queues=[queue], quiet=True,
        hostname=f"{kind}@bench", without_gossip=True, without_mingle=True, without_heartbeat=True,
    )  # fmt: skip
    worker.start()


@asynccontextmanager
async def _worker(kind: str, folder: Path, redis: Redis, foreign: Foreign, database: str) -> AsyncIterator[None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZHIYIN_")}
    environment = inherited | {
        "ZHIYIN_HOME": str(folder),
        "ZHIYIN_REDIS_URL": redis.url,
        "ZHIYIN_DATABASE_URL": database,
        FOREIGN: foreign.url,
    }

    async def ready() -> bool:
        return True

    command = (sys.executable, "-m", "bench.queue", "--work", kind)
    program = Program(name=kind, command=command, environment=environment, ready=ready)
    process = await Process.start(program, folder / f"{kind}.log")
    try:
        yield
    finally:
        await process.kill()


async def _measured(send: Send, wait: Wait, count: int, single: int) -> tuple[float, float]:
    """Tasks a second when there is a queue of them, and the median of milliseconds of one alone."""
    for _ in range(20):
        await send(1)
        await wait()
    alone = []
    for _ in range(single):
        started = time.perf_counter()
        await send(1)
        await wait()
        alone.append((time.perf_counter() - started) * 1000)
    started = time.perf_counter()
    await send(count)
    for _ in range(count):
        await wait()
    return count / (time.perf_counter() - started), statistics.median(alone)


async def _measure_plain(redis: Redis, count: int, single: int) -> tuple[float, float]:
    app = _plain(redis.url)
    client = RedisClient.from_url(redis.url)

    async def send(many: int) -> None:
        for _ in range(many):
            app.send_task("plain.call", queue="plain")

    async def done() -> bool:
        return await asyncio.to_thread(client.brpop, [DONE], 1) is not None

    async def wait() -> None:
        assert await wait_until(done, READY_SECONDS)

    return await _measured(send, wait, count, single)


async def _measure_ledger(folder: Path, redis: Redis, url: str, count: int, single: int) -> tuple[float, float]:
    settings = Settings(home=folder, database_url=url, redis_url=redis.url)
    database = Database(settings.business_database)
    ledger = Ledger(database, RuleBook(settings.rules_dir), settings)
    actions = References(redis.url, settings.installation, ACTIONS)
    results = References(redis.url, settings.installation, RESULTS)
    # Accepting is the service's work, which takes the action over HTTP; the queue's begins with the reference.
    accepted = [_request() for _ in range(count + single + 20)]
    for each in accepted:
        await ledger.accept(each)

    async def send(many: int) -> None:
        for _ in range(many):
            await actions.push(accepted.pop())

    async def wait() -> None:
        assert await wait_until(lambda: _popped(results), READY_SECONDS)

    try:
        return await _measured(send, wait, count, single)
    finally:
        await actions.close()
        await results.close()
        await database.close()


async def _popped(results: References) -> bool:
    return await results.pop(1.0) is not None


async def _run(count: int, single: int) -> bool:
    passed = True
    with tempfile.TemporaryDirectory(prefix="bench-queue-") as name:
        folder = Path(name)
        foreign = Foreign(folder)
        await foreign.start()
        async with Redis(folder / "redis") as redis, postgres() as server:
            databases = {
                "SQLite": f"sqlite+aiosqlite:///{folder / 'business.sqlite'}",
                "PostgreSQL": await server.new_database(),
            }
            async with _worker("plain", folder, redis, foreign, databases["SQLite"]):
                plain, plain_ms = await _measure_plain(redis, count, single)
            sys.stdout.write(f"plain Celery          {plain:7.0f} tasks/s   one alone {plain_ms:5.1f} ms\n")
            for label, url in databases.items():
                await asyncio.to_thread(migrate, "business", url)
                async with _worker("ledger", folder, redis, foreign, url):
                    rate, alone = await _measure_ledger(folder, redis, url, count, single)
                good = rate >= 0.7 * plain and alone - plain_ms <= 5.0
                passed &= good
                sys.stdout.write(
                    f"ledger on {label:<11} {rate:7.0f} actions/s one alone {alone:5.1f} ms   "
                    f"{rate / plain:4.0%} of plain, {alone - plain_ms:+.1f} ms   {'ok' if good else 'MISSED'}\n"
                )
        await foreign.kill()
    return passed


def main() -> None:
    """Prints the figures; exits with 1 when the goals (70 % of plain Celery, 5 ms at the median) are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tasks")
    parser.add_argument("--work", choices=("plain", "ledger"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        _work(given.work)
        return
    configure_logs("bench", "error")
    count, single = (300, 50) if given.quick else (2000, 200)
    raise SystemExit(0 if asyncio.run(_run(count, single)) else 1)


if __name__ == "__main__":
    main()
