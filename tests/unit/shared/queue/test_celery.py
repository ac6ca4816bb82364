"""The queue is at-least-once, and takes orders from nobody."""

from shared.queue.celery import HARD_LIMIT_SECONDS, celery_app

NO_REDIS = "redis://127.0.0.1:1/0"


def test_only_json_and_acknowledged_late() -> None:
    conf = celery_app("test", NO_REDIS, "zhiyin").conf
    assert conf.accept_content == ["json"]
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_time_limit == HARD_LIMIT_SECONDS


def test_nobody_is_listened_to_and_nothing_is_told() -> None:
    conf = celery_app("test", NO_REDIS, "zhiyin").conf
    assert not conf.worker_enable_remote_control
    assert not conf.worker_send_task_events
    assert not conf.task_send_sent_event


def test_the_keys_carry_the_installations_name() -> None:
    options = [celery_app("test", NO_REDIS, each).conf.broker_transport_options for each in ("one", "two")]
    assert [each["global_keyprefix"] for each in options] == ["one:queue:", "two:queue:"]
