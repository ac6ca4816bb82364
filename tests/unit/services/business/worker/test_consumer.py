import os
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.exceptions import Retry

from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.worker.consumer import MAX_PAUSE_SECONDS, create_consumer, pause_before
from services.business.worker.pipe import Beat, Done, Pipe, read_line
from shared.contracts.actions import PERFORM_TASK

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


def deliver(consumer: Celery, payload: Any, retries: int = 0) -> Any:
    return consumer.tasks[PERFORM_TASK].apply(kwargs={"action": payload}, retries=retries, throw=True)


def test_a_message_is_performed_and_its_result_sent(consumer: Celery, ears: Ears, ask: Ask) -> None:
    payload = ask("refund").model_dump(mode="json")

    deliver(consumer, payload)
    deliver(consumer, payload)

    first, second = ears.heard()
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert (first.name, first.outcome, second.outcome) == ("refund", "succeeded", "succeeded")
    assert first.seconds > 0


@pytest.mark.parametrize("payload", [None, {}, {"id": "action-1"}, "text", 7])
def test_a_malformed_message_is_done_with(consumer: Celery, ears: Ears, payload: Any) -> None:
    deliver(consumer, payload)

    assert [each.outcome for each in ears.heard() if isinstance(each, Done)] == ["malformed"]


def test_a_failed_attempt_is_retried_until_it_is_given_up(
    settings: Settings, rules: RuleBook, ears: Ears, ask: Ask
) -> None:
    hopeless = settings.model_copy(update={"action_seconds": 1e-9})
    consumer = create_consumer(hopeless, rules, Pipe(ears.writing))
    payload = ask("refund").model_dump(mode="json")

    for retries in range(settings.max_attempts - 1):
        with pytest.raises(Retry) as caught:
            consumer.tasks[PERFORM_TASK].apply(kwargs={"action": payload}, retries=retries, throw=True)
        assert "TimeoutError" in str(caught.value)
    deliver(consumer, payload)

    outcomes = [each.outcome for each in ears.heard() if isinstance(each, Done)]
    assert outcomes == ["retry"] * (settings.max_attempts - 1) + ["failed"]


def test_a_database_that_is_away_is_a_failed_attempt_without_a_customers_words(
    settings: Settings, rules: RuleBook, ears: Ears, ask: Ask
) -> None:
    (settings.home / "folder").mkdir()
    away = settings.model_copy(update={"database_url": f"sqlite+aiosqlite:///{settings.home / 'folder'}"})
    consumer = create_consumer(away, rules, Pipe(ears.writing))

    with pytest.raises(Retry) as caught:
        deliver(consumer, ask("refund", reason="机密").model_dump(mode="json"))

    assert "机密" not in repr(caught.value)
    assert [each.outcome for each in ears.heard() if isinstance(each, Done)] == ["retry"]


def test_pauses_grow_to_a_limit() -> None:
    assert 0.5 <= pause_before(0, 1.0) <= 1.0
    assert 2.0 <= pause_before(2, 1.0) <= 4.0
    assert MAX_PAUSE_SECONDS / 2 <= pause_before(50, 1.0) <= MAX_PAUSE_SECONDS


def test_the_time_limit_is_below_the_visibility_of_a_message(consumer: Celery, settings: Settings) -> None:
    assert consumer.conf.task_time_limit == settings.hard_limit_seconds < consumer.conf.visibility_timeout
    assert consumer.conf.task_soft_time_limit is None
    assert settings.action_seconds < settings.hard_limit_seconds
