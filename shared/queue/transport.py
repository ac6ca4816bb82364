"""Celery's way to a queue of references: kombu's Redis transport, which believes nothing that it reads.

Whoever can write to Redis must not reach more of Celery than "look at this action". So an entry of the list is a
reference and nothing else; the message that Celery wants is made here, and no header of it (task, time limits,
callbacks, delays) comes from outside. Names of queues are names of lists, so there is no table of bindings to tamper
with. What was taken and not yet acknowledged is kept in memory only: when it is lost with its process, SQL says when
it is due again.
"""

import uuid
from collections.abc import Callable
from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis
from kombu.utils.json import dumps
from redis.exceptions import RedisError, ResponseError

from shared.contracts.actions import ActionReference
from shared.queue.references import read_reference

__all__ = ["PERFORM_TASK", "Channel", "ReferenceTransport"]

log = structlog.get_logger(__name__)

PERFORM_TASK = "business.perform"


def _message(entry: str, reference: ActionReference, queue: str) -> dict[str, Any]:
    """The message for Celery (its protocol 2) to perform an action."""
    unique = uuid.uuid4().hex
    arguments = {"action_id": reference.id, "tenant": reference.tenant}
    return {
        "body": dumps([[], arguments, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {
            "lang": "py",
            "task": PERFORM_TASK,
            "id": unique,
            "argsrepr": "",
            "kwargsrepr": "",
        },
        "properties": {
            "correlation_id": unique,
            "delivery_tag": unique,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "reference": entry,
        },
    }


class Channel(redis.Channel):
    """A channel whose entries are references."""

    from_transport_options: tuple[Any, ...] = (*redis.Channel.from_transport_options, "on_malformed")
    connection_errors: tuple[type[BaseException], ...]
    on_malformed: Callable[[], None] | None = None
    ack_emulation = False

    def _brpop_read(self, **options: Any) -> bool:
        try:
            found = self.client.parse_response(self.client.connection, "BRPOP", **options)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            # A list with our name that is none is not ours; without it the next entry makes a new one.
            for queue in self.active_queues:
                log.error("queue_replaced", queue=queue)
                with self.conn_or_acquire() as client:
                    client.delete(queue)
            raise Empty from error
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
        if not found:
            raise Empty
        queue, entry = found[0].decode(), bytes(found[1])
        reference = read_reference(entry)
        if reference is None:
            if self.on_malformed is not None:
                self.on_malformed()
            raise Empty
        self.connection._deliver(_message(entry.decode(), reference, queue), queue)
        return True

    def _queue_bind(self, *_: Any) -> None:
        """Nothing to remember: a queue is found by its name."""

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        return [routing_key or default or ""]

    def _size(self, queue: str) -> int:
        # Asked when a queue is declared, where a key of another type would keep the consumer from its connection.
        return 0

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        """Puts a reference back that was taken and not dealt with; without Redis, SQL sends it again."""
        queue, entry = message.delivery_info["routing_key"], message.properties["reference"]
        try:
            with self.conn_or_acquire() as client:
                client.rpush(queue, entry)
        except (OSError, RedisError) as error:
            log.warning("reference_not_put_back", queue=queue, error=type(error).__name__)

    def _restore_at_beginning(self, message: Any) -> None:
        self._restore(message, leftmost=True)


class ReferenceTransport(redis.Transport):
    """kombu's Redis transport with channels of references."""

    Channel = Channel
