"""The Celery side of the worker: takes actions off the queue and has forked processes perform them.

Started and supervised by `services.business.worker.service`.
"""

import logging
import os
import random
import signal
from typing import Any

import structlog
from celery import Celery, Task, bootsteps, signals
from celery.platforms import set_pdeathsig  # type: ignore[attr-defined]  # the stubs do not have it
from celery.worker import state

from services.business.actions.ledger import AttemptFailed
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.worker.performer import Performer
from services.business.worker.pipe import Beat, Done, Pipe
from shared.contracts.actions import PERFORM_TASK
from shared.logs import configure_logs
from shared.queue.celery import ACTIONS, celery_app

__all__ = ["PIPE_VARIABLE", "create_consumer", "main", "pause_before"]

log = structlog.get_logger(__name__)

PIPE_VARIABLE = "ZHIYIN_WORKER_PIPE"
BEAT_SECONDS = 1.0
MAX_PAUSE_SECONDS = 20.0
MAX_RETRIES = 12
"""Far more than the ledger allows: only what cannot even be counted, for want of a database, comes so far."""
ACTIONS_PER_PROCESS = 2000


class _Child:
    """The performer of a forked process, made at its first action, because loops and connections must not be forked."""

    def __init__(self, settings: Settings, rules: RuleBook) -> None:
        self._settings = settings
        self._rules = rules
        self._performer: Performer | None = None

    def performer(self) -> Performer:
        """This process's own."""
        if self._performer is None:
            self._performer = Performer(self._settings, self._rules)
        return self._performer

    def close(self, **_: Any) -> None:
        """Gives back what was made."""
        if self._performer is not None:
            self._performer.close()
            self._performer = None


def pause_before(retry: int, first_seconds: float) -> float:
    """Seconds until a failed attempt's message is delivered again: doubles, with jitter."""
    return float(min(MAX_PAUSE_SECONDS, first_seconds * 2**retry) * random.uniform(0.5, 1.0))


def create_consumer(settings: Settings, rules: RuleBook, pipe: Pipe) -> Celery:
    """The Celery application with its one task."""
    app = celery_app("business-worker", settings.redis_url)
    app.conf.update(
        task_time_limit=settings.hard_limit_seconds,
        # The softer limit is the ledger's own: an exception thrown into an event loop from outside would break it.
        task_soft_time_limit=None,
        worker_max_tasks_per_child=ACTIONS_PER_PROCESS,
    )
    child = _Child(settings, rules)
    signals.worker_process_shutdown.connect(child.close, weak=False)

    @app.task(name=PERFORM_TASK, bind=True, max_retries=MAX_RETRIES, shared=False)
    def perform(task: Task[Any, Any], action: Any = None) -> None:
        try:
            done = child.performer().perform(action)
        except AttemptFailed as error:
            pipe.send(Done(name="unknown", outcome="retry", seconds=0))
            countdown = pause_before(task.request.retries or 0, settings.retry_seconds)
            raise task.retry(exc=error, countdown=countdown) from None
        pipe.send(done)

    app.steps["consumer"].add(_beat_step(pipe))
    return app


def _beat_step(pipe: Pipe) -> type[bootsteps.StartStopStep]:
    class BeatStep(bootsteps.StartStopStep):
        """Beats while messages are consumed: it starts after the consumer's connection and stops with it."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, parent: Any, **_: Any) -> None:
            self._timer: Any = None
            super().__init__(parent)

        def start(self, parent: Any) -> None:
            self._timer = parent.timer.call_repeatedly(BEAT_SECONDS, self._beat)
            self._beat()

        def stop(self, parent: Any) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _beat(self) -> None:
            beat = Beat(received=sum(state.total_count.values()), active=len(state.active_requests))
            if not pipe.send(beat):
                log.error("worker_gone")
                os.kill(os.getpid(), signal.SIGTERM)

    return BeatStep


def main() -> None:
    """Consume until SIGTERM; actions in hand are finished first."""
    # The pipe shows that the worker was killed, but only while the queue answers: the beat runs in the consumer's loop.
    set_pdeathsig("SIGKILL")
    settings = Settings()
    configure_logs("worker", settings.log_level)
    signals.setup_logging.connect(configure_celery_logs, weak=False)
    app = create_consumer(settings, RuleBook(settings.rules_dir), Pipe(int(os.environ[PIPE_VARIABLE])))
    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            f"--concurrency={settings.concurrency}",
            f"--queues={ACTIONS}",
            f"--hostname=business-{os.getpid()}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def configure_celery_logs(**_: Any) -> None:
    """Leaves the logs as they are, but for the arguments of messages, which are a customer's words."""
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.worker.request"):
        logging.getLogger(name).addFilter(_without_arguments)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)


def _without_arguments(record: logging.LogRecord) -> bool:
    record.__dict__.pop("data", None)
    return True


if __name__ == "__main__":
    main()
