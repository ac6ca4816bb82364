"""The worker: a service like the others that supervises the Celery processes which perform actions.

Celery is a child process, restarted when it ends or stalls. Health, metrics and registration are here, so they answer
whatever Celery is busy with.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import redis.asyncio
import structlog
from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram
from pydantic import SecretStr
from pydantic_core import to_json
from redis.exceptions import RedisError

from services.business.actions.outbox import LedgerOutbox
from services.business.models import Installation
from services.business.releases import KEPT_SECONDS, KeptAssistants, shelf_of
from services.business.rules.rule_book import shop_rules
from services.business.settings import Settings
from services.business.worker.consumer import PIPE_VARIABLE
from services.business.worker.pipe import Beat, Done, read_line
from shared.errors import Unavailable
from shared.http.service import ServiceContext, create_service
from shared.queue.installation import claim_prefix
from shared.queue.outbox import OutboxRelay
from shared.queue.references import ACTIONS
from shared.releases.follower import LOOP, Follower, has_learning
from shared.storage.database import Database
from shared.storage.installation import identity_of
from shared.storage.migrations import bring_up

__all__ = ["Consumer", "create_app"]

log = structlog.get_logger(__name__)

FRESH_SECONDS = 5.0
LOOK_SECONDS = 0.5
START_SECONDS = 45.0
COLD_STOP_SECONDS = 2.0
FIRST_RESTART_SECONDS = 0.5
MAX_RESTART_SECONDS = 30.0
PING_SECONDS = 2.0

PERFORMED = Counter("zhiyin_worker_actions_total", "Messages about actions dealt with", ["name", "outcome"])
SECONDS = Histogram("zhiyin_worker_action_seconds", "Time an attempt at an action took", ["name"])
RECEIVED = Gauge("zhiyin_worker_received", "Messages received since Celery was last started")
ACTIVE = Gauge("zhiyin_worker_active", "Actions in hand")
BEAT_AGE = Gauge("zhiyin_worker_beat_age_seconds", "Time since Celery's consumer last said that it turns")
DEAD = Counter("zhiyin_business_dead_letters_total", "Actions that were given up")
RESTARTS = Counter("zhiyin_worker_restarts_total", "Times that Celery was started again")


class Consumer:
    """Celery as a child process: started, listened to, started again, stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._beat_at: float | None = None
        self._started_at = time.monotonic()
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process id of Celery's main process."""
        return None if self._process is None else self._process.pid

    @property
    def beat_age(self) -> float:
        """Seconds since its last beat, or since it was started."""
        return time.monotonic() - (self._started_at if self._beat_at is None else self._beat_at)

    async def check(self) -> None:
        """Returns when messages are being consumed.

        Raises:
            Unavailable: they are not.
        """
        if self._beat_at is None or self.beat_age > FRESH_SECONDS:
            raise Unavailable("the consumer is not connected to its queue")

    async def run(self, beat: Callable[[], None]) -> None:
        """Keeps Celery running until `stop` has ended it; `beat` is called at every look."""
        failures = 0
        while True:
            ended = await self._start()
            try:
                while not ended.done():
                    beat()
                    await asyncio.wait({ended}, timeout=LOOK_SECONDS)
                    failures = 0 if self.beat_age < FRESH_SECONDS and self._beat_at is not None else failures
                    BEAT_AGE.set(self.beat_age)
                    await self._stop_if_stalled()
            finally:
                ended.cancel()
            if self._stopping:
                return
            pause = min(MAX_RESTART_SECONDS, FIRST_RESTART_SECONDS * 2.0 ** min(failures, 10))
            failures += 1
            self._beat_at = None
            log.error("consumer_ended", code=ended.result(), again_in=pause)
            await asyncio.sleep(pause)
            RESTARTS.inc()

    async def stop(self, warm_seconds: float) -> None:
        """Ends it for good: lets it finish what is in hand, for so long; what it leaves is performed by another."""
        self._stopping = True
        await self._end(warm_seconds)

    async def _end(self, warm_seconds: float) -> None:
        process = self._process
        if process is None:
            return
        for number, seconds in ((signal.SIGTERM, warm_seconds), (signal.SIGQUIT, COLD_STOP_SECONDS)):
            with suppress(ProcessLookupError, TimeoutError):
                process.send_signal(number)
                async with asyncio.timeout(seconds):
                    await process.wait()
            if process.returncode is not None:
                return
        log.warning("consumer_killed")
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _start(self) -> asyncio.Task[int]:
        """Starts Celery; the task is done when it has ended."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._started_at = time.monotonic()
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.business.worker.consumer"),
                env={**os.environ, **as_environment(self._settings), PIPE_VARIABLE: str(writing)},
                pass_fds=(writing,),
                stdin=asyncio.subprocess.DEVNULL,
            )
        finally:
            os.close(writing)
        return asyncio.create_task(self._follow(process, reading), name="consumer")

    async def _follow(self, process: asyncio.subprocess.Process, reading: int) -> int:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
        )
        listening = asyncio.create_task(self._listen(reader), name="consumer-pipe")
        try:
            return await process.wait()
        finally:
            listening.cancel()
            transport.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            match read_line(line):
                case Beat(received=received, active=active):
                    self._beat_at = time.monotonic()
                    RECEIVED.set(received)
                    ACTIVE.set(active)
                case Done(name=name, outcome=outcome, seconds=seconds, dead=dead):
                    PERFORMED.labels(name, outcome).inc()
                    SECONDS.labels(name).observe(seconds)
                    # The processes that perform actions are not scraped, this one is.
                    DEAD.inc(int(dead))
                case None:
                    log.warning("consumer_not_understood")

    async def _stop_if_stalled(self) -> None:
        stall = self._settings.stall_seconds
        limit = max(stall, START_SECONDS) if self._beat_at is None else stall
        # While the queue is away Celery has every reason to be silent, and starting it again would not help.
        if self.beat_age > limit and await self._redis_answers():
            log.error("consumer_stalled", seconds=round(self.beat_age))
            await self._end(COLD_STOP_SECONDS)

    async def _redis_answers(self) -> bool:
        client = redis.asyncio.Redis.from_url(
            self._settings.redis_url, socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS
        )
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {f"ZHIYIN_{name.upper()}": _as_variable(value) for name, value in given.items() if value is not None}


def _as_variable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return to_json(value).decode() if isinstance(value, dict | bool) else str(value)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The worker's own service: health, metrics, registration, and Celery below it.

    Raises:
        RulesError: a decision table cannot be used.
    """
    settings = settings or Settings()
    shop_rules(settings.rules_dir, connectors=settings.has_connectors)
    consumer = Consumer(settings)
    database = Database(settings.business_database, pool_size=2)

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        context.meta = lambda: {"queue": ACTIONS}
        await bring_up("business", settings)
        identity = await identity_of(database, Installation)
        await claim_prefix(settings.redis_url, settings.installation, "business", identity)
        beat = partial(context.health.beat, "consumer", max_age=2 * MAX_RESTART_SECONDS)
        running = asyncio.create_task(consumer.run(beat), name="consumer-run")
        # Without business, too, what failed is tried again and what was lost is found.
        outbox = LedgerOutbox(settings, database)
        relay = OutboxRelay("ledger", database, outbox, look_seconds=settings.relay_seconds)
        relay_beat = partial(context.health.beat, "relay", max_age=settings.relay_seconds * 3 + 60)
        follower = Follower(
            "worker",
            context.instance,
            shelf_of(settings, "worker"),
            KeptAssistants(),
            context.client,
            follows=has_learning(settings),
            proves=False,
            linger_seconds=KEPT_SECONDS,
            beat=partial(context.health.beat, LOOP, max_age=60.0),
        )
        await follower.begin()
        loops = [
            asyncio.create_task(relay.run(relay_beat), name="relay"),
            asyncio.create_task(follower.run(), name="releases"),
        ]

        async def warm_stop() -> None:
            await consumer.stop(settings.warm_stop_seconds)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        # Health and metrics answer while the actions in hand come to their end.
        context.drains.append(warm_stop)
        try:
            yield
        finally:
            await warm_stop()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await follower.close()
            await outbox.close()
            await database.close()

    return create_service(
        settings,
        name="worker",
        description="Performs the actions that conversations ask for.",
        routers=[],
        lifespan=lifespan,
        ready_checks={"consumer": consumer.check},
    )
