"""Celery on Redis: at least once, which the databases at both ends turn into exactly once."""

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu import Queue

__all__ = [
    "ACTIONS",
    "HARD_LIMIT_SECONDS",
    "LEARNING",
    "RESULTS",
    "TRANSPORT_OPTIONS",
    "VISIBILITY_SECONDS",
    "celery_app",
]

ACTIONS = "actions"
RESULTS = "results"
LEARNING = "learning"

HARD_LIMIT_SECONDS = 60
SOFT_LIMIT_SECONDS = 50
VISIBILITY_SECONDS = 120
"""A message that nobody acknowledged comes back after this; above the hard limit, so never while it is worked on."""

TRANSPORT_OPTIONS: Mapping[str, Any] = {
    "visibility_timeout": VISIBILITY_SECONDS,
    "socket_keepalive": True,
    "socket_connect_timeout": 2,
    "socket_timeout": 30,
    "health_check_interval": 10,
}


def celery_app(name: str, redis_url: str) -> Celery:
    """A Celery application as every service uses it: JSON only, late acknowledgement, one message at a time."""
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
        task_soft_time_limit=SOFT_LIMIT_SECONDS,
        task_default_queue=ACTIONS,
        task_queues=[Queue(ACTIONS), Queue(LEARNING)],
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options=dict(TRANSPORT_OPTIONS),
        # Celery reads the visibility timeout in three places, and the shortest one wins.
        visibility_timeout=VISIBILITY_SECONDS,
        result_backend_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
        enable_utc=True,
    )
    return app
