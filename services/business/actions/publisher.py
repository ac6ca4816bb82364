"""Puts results of actions on their queue. The calls block: in the service they run in a thread."""

from typing import Any

from kombu import Connection, Producer

from shared.contracts.actions import ActionResult
from shared.queue.celery import RESULTS, TRANSPORT_OPTIONS
from shared.queue.outbox import QUEUE_ERRORS

__all__ = ["ResultPublisher"]

# Do not wait for a queue that is away: the outbox publishes later what was not published now.
ONE_TRY: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class ResultPublisher:
    """One connection to the queue, opened when it is needed and again after it broke."""

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
