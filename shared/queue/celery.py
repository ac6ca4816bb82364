"""Celery on Redis: at least once, which the databases at both ends turn into exactly once."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from kombu import Queue

from shared.queue.references import ACTIONS, queue_prefix
from shared.queue.transport import ReferenceTransport

__all__ = ["HARD_LIMIT_SECONDS", "TRANSPORT_OPTIONS", "celery_app"]

HARD_LIMIT_SECONDS = 60

TRANSPORT_OPTIONS: Mapping[str, Any] = {
    "priority_steps": [0],
    "socket_keepalive": True,
    "socket_connect_timeout": 2,
    "socket_timeout": 30,
    "health_check_interval": 10,
}


def celery_app(name: str, redis_url: str, installation: str, on_malformed: Callable[[], None] | None = None) -> Celery:
    """A Celery application that takes references to actions off their queue, one at a time, acknowledged late.

    Args:
        on_malformed: called for each entry of the queue that is no reference; it is dropped.
    """
    app = Celery(name, broker=redis_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        task_time_limit=HARD_LIMIT_SECONDS,
        task_default_queue=ACTIONS,
        task_queues=[Queue(ACTIONS)],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        # Anybody who writes to Redis could give orders: shut down, stop consuming, set limits.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_transport=ReferenceTransport,
        # With a transport of our own the scheme of the address is not looked at; what its query says comes on top.
        broker_use_ssl={"ssl_cert_reqs": "required"} if redis_url.startswith("rediss://") else None,
        broker_transport_options={
            **TRANSPORT_OPTIONS,
            "global_keyprefix": queue_prefix(installation),
            "on_malformed": on_malformed,
        },
        enable_utc=True,
    )
    return app
