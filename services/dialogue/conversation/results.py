"""Results of actions: taken off the queue and handed to the conversation, acknowledged once they are committed."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kombu import Connection, Consumer, Message, Queue
from kombu.mixins import ConsumerMixin
from pydantic import ValidationError

from shared.contracts.actions import ActionResult
from shared.errors import Unavailable
from shared.queue.celery import RESULTS, TRANSPORT_OPTIONS

__all__ = ["ResultsConsumer"]

log = structlog.get_logger(__name__)

APPLY_SECONDS = 30.0
AGAIN_SECONDS = 1.0
RECONNECT_SECONDS = (1, 1, 3)
"""The first pause before the queue is tried again, how much longer each next one is, and the longest."""
STOP_SECONDS = 5.0


class _Mixin(ConsumerMixin):
    def __init__(self, connection: Connection, on_body: Callable[[Any], bool], beat: Callable[[], None]) -> None:
        self.connection = connection
        self._on_body = on_body
        self._beat = beat

    def get_consumers(self, Consumer: Callable[..., Consumer], channel: Any) -> list[Consumer]:  # noqa: N803 - kombu's name
        return [Consumer([Queue(RESULTS)], callbacks=[self._on_message], accept=["json"], prefetch_count=1)]

    def _on_message(self, body: Any, message: Message) -> None:
        if self._on_body(body):
            message.ack()
        else:
            # A requeued message is delivered again at once, when the cause is probably still there.
            time.sleep(AGAIN_SECONDS)
            message.requeue()

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:  # type: ignore[override]  # a context manager, against the stubs
        first, step, longest = RECONNECT_SECONDS
        with self.create_connection() as connection:
            connection.ensure_connection(
                self.on_connection_error, interval_start=first, interval_step=step, interval_max=longest
            )
            yield connection

    def on_iteration(self) -> None:
        self._beat()

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        self._beat()
        log.warning("results_queue_away", error=type(exc).__name__, again_in=interval)


class ResultsConsumer:
    """Reads the queue in a thread of its own (kombu blocks) and applies each result on the event loop."""

    def __init__(
        self, redis_url: str, apply: Callable[[ActionResult], Awaitable[None]], beat: Callable[[], None]
    ) -> None:
        """`beat` is called whenever the thread turns, also while the queue is away."""
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._mixin = _Mixin(Connection(redis_url, transport_options=dict(TRANSPORT_OPTIONS)), self._on_body, beat)
        self._thread = threading.Thread(target=self._mixin.run, name="results-consumer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Stop reading; a message that is not acknowledged is delivered to another replica."""
        self._mixin.should_stop = True
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def _on_body(self, body: Any) -> bool:
        try:
            result = ActionResult.model_validate(body)
        except ValidationError as error:
            # Retrying cannot help. Business still has the result and sends it again when the action is sent again.
            log.error("result_malformed", errors=error.error_count())
            return True
        try:
            asyncio.run_coroutine_threadsafe(self._awaited(result), self._loop).result(APPLY_SECONDS)
        except Unavailable as error:
            log.warning("result_put_off", action=result.action_id, error=error.detail)
            return False
        except Exception as error:
            log.error("result_not_applied", action=result.action_id, error=type(error).__name__, exc_info=error)
            return False
        return True

    async def _awaited(self, result: ActionResult) -> None:
        await self._apply(result)
