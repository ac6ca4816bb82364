"""What Celery gets to see is made here, whatever the queue holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.queue.transport import Channel

ENTRY = b'{"id":"c1.0","tenant":"default"}'


class Client:
    """A connection that answers BRPOP once."""

    connection = None

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.deleted: list[str] = []

    def parse_response(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def delete(self, key: str) -> None:
        self.deleted.append(key)


class Reading(Channel):
    """A channel without a Redis."""

    connection_errors = (RedisConnectionError,)

    def __init__(self, answer: Any) -> None:
        self.own = Client(answer)
        self.delivered: list[tuple[dict[str, Any], str]] = []
        self.malformed = 0
        self.on_malformed = self._count
        self._active_queues = ["actions"]
        self.active_fanout_queues = set()
        self.connection = self  # type: ignore[assignment]

    @property
    def client(self) -> Any:
        return self.own

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield self.own

    def _count(self) -> None:
        self.malformed += 1

    def _deliver(self, message: dict[str, Any], queue: str) -> None:
        self.delivered.append((message, queue))

    def __del__(self) -> None:
        """Nothing to give back."""


def test_a_reference_becomes_a_message_of_which_nothing_else_comes_from_outside() -> None:
    channel = Reading((b"actions", ENTRY))
    assert channel._brpop_read()
    ((message, queue),) = channel.delivered
    assert queue == "actions"
    assert message["headers"]["task"] == "business.perform"
    assert message["headers"].keys() == {"lang", "task", "id", "argsrepr", "kwargsrepr"}
    assert (message["headers"]["argsrepr"], message["headers"]["kwargsrepr"]) == ("", "")


@pytest.mark.parametrize("entry", [b"not json", b"", b"{}", b"\xff", b'{"id":"a","tenant":"*"}'])
def test_what_is_no_reference_is_counted_and_dropped(entry: bytes) -> None:
    channel = Reading((b"actions", entry))
    with pytest.raises(Empty):
        channel._brpop_read()
    assert (channel.delivered, channel.malformed) == ([], 1)


def test_a_key_that_is_no_list_is_removed() -> None:
    channel = Reading(ResponseError("WRONGTYPE Operation against a key"))
    with pytest.raises(Empty):
        channel._brpop_read()
    assert channel.own.deleted == ["actions"]


def test_another_answer_is_an_error() -> None:
    with pytest.raises(ResponseError):
        Reading(ResponseError("NOPERM"))._brpop_read()


def test_bindings_in_redis_are_neither_read_nor_written() -> None:
    channel = Reading(None)
    channel._queue_bind("actions", "actions", "", "actions")
    assert channel._lookup("whatever", "actions") == ["actions"]
