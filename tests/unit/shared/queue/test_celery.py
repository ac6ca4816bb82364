"""The queue is at-least-once, and what Celery reads in several places says the same everywhere."""

from shared.queue.celery import HARD_LIMIT_SECONDS, VISIBILITY_SECONDS, celery_app


def test_no_message_comes_back_while_it_is_worked_on() -> None:
    conf = celery_app("test", "redis://127.0.0.1:1/0").conf
    assert conf.task_time_limit == HARD_LIMIT_SECONDS < VISIBILITY_SECONDS
    assert conf.broker_transport_options["visibility_timeout"] == VISIBILITY_SECONDS
    assert conf.result_backend_transport_options["visibility_timeout"] == VISIBILITY_SECONDS
    assert conf.visibility_timeout == VISIBILITY_SECONDS


def test_only_json_and_acknowledged_late() -> None:
    conf = celery_app("test", "redis://127.0.0.1:1/0").conf
    assert conf.accept_content == ["json"]
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
