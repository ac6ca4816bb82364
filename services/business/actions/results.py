"""Puts results of actions on their queue. The calls block: in the service they run in a thread."""

from typing import Any

from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared.contracts.actions import ActionResult
from shared.queue.celery import RESULTS, TRANSPORT_OPTIONS

__all__ = ["QUEUE_ERRORS", "ResultPublisher"]

QUEUE_ERRORS = (OperationalError, RedisError, OSError)

# A queue that is away is not waited for: the relay comes back to what was not published.
ONE_TRY: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class ResultPublisher:
    """One connection to the queue, made when it is needed and made anew after it broke."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._connection: Connection | None = None

    def publish(self, result: ActionResult) -> None:
        """Puts a result on the queue.

        Raises:
            QUEUE_ERRORS: the queue is away.
        """
        if self._connection is None:
            self._connection = Connection(self._url, transport_options={**TRANSPORT_OPTIONS, **ONE_TRY})
        try:
            Producer(self._connection.default_channel).publish(
                result.model_dump(mode="json"), exchange="", routing_key=RESULTS, serializer="json", retry=False
            )
        except QUEUE_ERRORS:
            self.close()
            raise

    def close(self) -> None:
        """Gives the connection back."""
        if self._connection is not None:
            self._connection.release()
            self._connection = None
