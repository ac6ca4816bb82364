import asyncio
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from kombu import Connection, Queue
from kombu import Consumer as KombuConsumer

from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.worker.consumer import create_consumer
from services.business.worker.pipe import Beat, Done, Pipe, read_line
from shared.contracts.actions import ActionRequest
from shared.queue.transport import PERFORM_TASK
from shared.storage.database import Database

Ask = Any


class Ears:
    """The reading end of a consumer's pipe."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)

    def heard(self) -> list[Beat | Done | None]:
        return [read_line(line) for line in os.read(self._reading, 100_000).splitlines()]

    def close(self) -> None:
        os.close(self._reading)
        os.close(self.writing)


@pytest.fixture
def ears() -> Iterator[Ears]:
    ears = Ears()
    yield ears
    # What a forked process hears when it ends.
    signals.worker_process_shutdown.send(sender=None)
    ears.close()


@pytest.fixture
def consumer(settings: Settings, rules: RuleBook, ears: Ears) -> Celery:
    return create_consumer(settings, rules, Pipe(ears.writing))


def deliver(consumer: Celery, request: ActionRequest) -> Any:
    return consumer.tasks[PERFORM_TASK].apply(kwargs={"action_id": request.id, "tenant": request.tenant}, throw=True)


def accept(settings: Settings, rules: RuleBook, request: ActionRequest) -> None:
    async def write() -> None:
        database = Database(settings.business_database)
        try:
            await Ledger(database, rules, settings).accept(request)
        finally:
            await database.close()

    asyncio.run(write())


def outcomes(ears: Ears) -> list[tuple[str, str, bool]]:
    return [(each.name, each.outcome, each.dead) for each in ears.heard() if isinstance(each, Done)]


def test_an_action_is_performed_once_however_often_its_reference_comes(
    settings: Settings, rules: RuleBook, consumer: Celery, ears: Ears, ask: Ask
) -> None:
    request = ask("refund")
    accept(settings, rules, request)

    deliver(consumer, request)
    deliver(consumer, request)

    assert outcomes(ears) == [("refund", "succeeded", False), ("unknown", "done", False)]


def test_an_action_that_nobody_asked_for_is_not_performed(consumer: Celery, ears: Ears, ask: Ask) -> None:
    deliver(consumer, ask("refund"))

    assert outcomes(ears) == [("unknown", "unknown", False)]


def test_a_failed_attempt_is_repeated_until_the_action_is_given_up(
    settings: Settings, rules: RuleBook, ears: Ears, ask: Ask
) -> None:
    hopeless = settings.model_copy(update={"action_seconds": 1e-9})
    consumer = create_consumer(hopeless, rules, Pipe(ears.writing))
    request = ask("refund")
    accept(settings, rules, request)

    for _ in range(settings.max_attempts + 1):
        deliver(consumer, request)

    failed = [("unknown", "retry", False)] * (settings.max_attempts - 1)
    assert outcomes(ears) == [*failed, ("refund", "failed", True), ("unknown", "done", False)]


def test_a_database_that_is_away_is_no_attempt(settings: Settings, rules: RuleBook, ears: Ears, ask: Ask) -> None:
    (settings.home / "folder").mkdir()
    away = settings.model_copy(update={"database_url": f"sqlite+aiosqlite:///{settings.home / 'folder'}"})

    deliver(create_consumer(away, rules, Pipe(ears.writing)), ask("refund"))

    assert outcomes(ears) == [("unknown", "retry", False)]


def test_a_loop_that_takes_nothing_off_the_queue_does_not_beat(consumer: Celery, ears: Ears) -> None:
    (step,) = [each for each in consumer.steps["consumer"] if each.__name__ == "BeatStep"]
    parent = SimpleNamespace(task_consumer=None, timer=SimpleNamespace(call_repeatedly=lambda _, beat, of: beat(*of)))
    heard = []
    for attached in (True, False):
        with Connection("memory://") as connection:
            parent.task_consumer = KombuConsumer(connection, [Queue("actions")], callbacks=[print])
            if attached:
                parent.task_consumer.consume()
            step(parent).start(parent)
        Pipe(ears.writing).send(Done(name="the", outcome="end", seconds=0))
        heard.append({type(each) for each in ears.heard()} - {Done})

    assert heard == [{Beat}, set()]


def test_nobody_gives_the_consumer_orders(consumer: Celery) -> None:
    assert not consumer.conf.worker_enable_remote_control
    assert not consumer.conf.worker_send_task_events


def test_the_time_limit_is_the_ledgers(consumer: Celery, settings: Settings) -> None:
    assert consumer.conf.task_time_limit == settings.hard_limit_seconds
    assert consumer.conf.task_soft_time_limit is None
    assert settings.action_seconds < settings.hard_limit_seconds
