"""Lists of references in Redis: which action is to be looked at, never what is to be done.

A reference is a hint. What it names stands in SQL with the time when it is due, so a hint that is lost, forged, doubled
or malformed costs a look or a delay and changes nothing. Keys carry the installation's name, because several
installations may share a Redis.
"""

import time

import structlog
from prometheus_client import Counter
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from shared.contracts.actions import ActionReference

__all__ = ["ACTIONS", "RESULTS", "Malformed", "References", "queue_prefix", "read_reference"]

log = structlog.get_logger(__name__)

ACTIONS = "actions"
RESULTS = "results"

MAX_BYTES = 1000
"""A reference is shorter; what is longer is not even parsed."""
CALL_SECONDS = 2.0
QUIET_SECONDS = 10.0

MALFORMED = Counter("zhiyin_queue_malformed_total", "Entries of a queue that are no reference", ["queue"])
for _queue in (ACTIONS, RESULTS):
    MALFORMED.labels(_queue)


def queue_prefix(installation: str) -> str:
    """What the keys of an installation's queues begin with."""
    return f"{installation}:queue:"


def read_reference(raw: bytes) -> ActionReference | None:
    """The reference in an entry of a queue; `None` if it is none."""
    if len(raw) > MAX_BYTES:
        return None
    try:
        return ActionReference.model_validate_json(raw)
    except ValidationError:
        return None


class Malformed:
    """Counts entries that are no reference, and logs them now and then: a stranger must not fill the logs either."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._counted = 0
        self._logged_at = float("-inf")

    def __call__(self) -> None:
        """One more."""
        MALFORMED.labels(self._queue).inc()
        self._counted += 1
        if time.monotonic() - self._logged_at >= QUIET_SECONDS:
            log.error("queue_entry_malformed", queue=self._queue, entries=self._counted)
            self._counted, self._logged_at = 0, time.monotonic()


class References:
    """One queue of references: pushed at one end, popped at the other."""

    def __init__(self, redis_url: str, installation: str, queue: str) -> None:
        # A pooled connection may lead to a Redis that was started again meanwhile: the second try opens another.
        self._redis: Redis = Redis.from_url(
            redis_url,
            socket_connect_timeout=CALL_SECONDS,
            socket_timeout=None,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 1),
        )
        self._queue = queue
        self._key = queue_prefix(installation) + queue
        self._malformed = Malformed(queue)

    async def push(self, reference: ActionReference) -> None:
        """Put a reference at the end of the queue.

        Raises:
            RedisError, OSError, TimeoutError: the queue is away.
        """
        entry = ActionReference(id=reference.id, tenant=reference.tenant).model_dump_json()
        try:
            await self._redis.lpush(self._key, entry)
        except ResponseError as error:
            await self._clear(error)
            await self._redis.lpush(self._key, entry)

    async def pop(self, seconds: float) -> ActionReference | None:
        """Take the reference at the head of the queue; `None` when none came in time, or what came was none.

        Raises:
            RedisError, OSError, TimeoutError: the queue is away.
        """
        try:
            found = await self._redis.brpop([self._key], timeout=seconds)
        except ResponseError as error:
            await self._clear(error)
            return None
        if found is None:
            return None
        entry = found[1]
        reference = read_reference(entry if isinstance(entry, bytes) else entry.encode())
        if reference is None:
            self._malformed()
        return reference

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()

    async def _clear(self, error: RedisError) -> None:
        """Removes a key that is no list: it has our name and is not ours, and nothing in it can be lost."""
        if not str(error).startswith("WRONGTYPE"):
            raise error
        log.error("queue_replaced", queue=self._queue)
        await self._redis.delete(self._key)
