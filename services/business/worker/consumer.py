"""The Celery side of the worker: takes references to actions off the queue and has forked processes perform them.

Started and supervised by `services.business.worker.service`.
"""

import logging
import os
import signal
import warnings
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.apps import worker as celery_worker
from celery.apps.worker import Worker
from celery.exceptions import SecurityWarning
from celery.platforms import set_pdeathsig  # type: ignore[attr-defined]  # the stubs do not have it
from celery.worker import state

from services.business.releases import shelved_effects
from services.business.rules.rule_book import RuleBook, shop_rules
from services.business.settings import Settings
from services.business.worker.performer import EffectsOf, Performer
from services.business.worker.pipe import Beat, Done, Pipe
from shared.contracts.actions import ActionReference
from shared.logs import configure_logs
from shared.queue.celery import celery_app
from shared.queue.references import ACTIONS, Malformed
from shared.queue.transport import PERFORM_TASK

__all__ = ["PIPE_VARIABLE", "create_consumer", "main"]

log = structlog.get_logger(__name__)

PIPE_VARIABLE = "ZHIYIN_WORKER_PIPE"
BEAT_SECONDS = 1.0
ACTIONS_PER_PROCESS = 2000


class _Child:
    """The performer of a forked process, made at its first action, because loops and connections must not be forked."""

    def __init__(self, settings: Settings, rules: RuleBook | None, effects: EffectsOf | None) -> None:
        self._settings = settings
        self._rules = rules
        self._effects = effects
        self._performer: Performer | None = None

    def performer(self) -> Performer:
        """This process's own."""
        if self._performer is None:
            self._performer = Performer(self._settings, self._rules, self._effects)
        return self._performer

    def close(self, **_: Any) -> None:
        """Gives back what was made."""
        if self._performer is not None:
            self._performer.close()
            self._performer = None


def create_consumer(settings: Settings, rules: RuleBook | None, pipe: Pipe, effects: EffectsOf | None = None) -> Celery:
    """The Celery application with its one task; `effects` makes what calls foreign systems."""
    malformed = Malformed(ACTIONS)

    def on_malformed() -> None:
        malformed()
        pipe.send(Done(name="unknown", outcome="malformed", seconds=0))

    app = celery_app("business-worker", settings.redis_url, settings.installation, on_malformed)
    app.conf.update(
        task_time_limit=settings.hard_limit_seconds,
        # The softer limit is the ledger's own: an exception thrown into an event loop from outside would break it.
        task_soft_time_limit=None,
        worker_max_tasks_per_child=ACTIONS_PER_PROCESS,
    )
    child = _Child(settings, rules, effects)
    signals.worker_process_shutdown.connect(child.close, weak=False)

    @app.task(name=PERFORM_TASK, shared=False)
    def perform(action_id: str, tenant: str) -> None:
        pipe.send(child.performer().perform(ActionReference(id=action_id, tenant=tenant)))

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
            self._timer = parent.timer.call_repeatedly(BEAT_SECONDS, self._beat, (parent,))
            # At the very first start the queue is joined a moment later.
            if parent.task_consumer.consuming_from(ACTIONS):
                self._beat(parent)

        def stop(self, parent: Any) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _beat(self, parent: Any) -> None:
            # A loop that turns and takes nothing off the queue is no consumer: without beats it is started again.
            if not parent.task_consumer.consuming_from(ACTIONS):
                log.error("consumer_detached")
                return
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
    quieten()
    pipe = Pipe(int(os.environ[PIPE_VARIABLE]))
    app = create_consumer(
        settings, shop_rules(settings.rules_dir, connectors=settings.has_connectors), pipe, shelved_effects
    )
    worker = Worker(
        app=app,
        pool_cls="prefork",
        concurrency=settings.concurrency,
        queues=[ACTIONS],
        hostname=f"business-{os.getpid()}@worker",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    raise SystemExit(worker.exitcode or 0)


def quieten() -> None:
    """Leaves the logs as they are: JSON, without a banner, and without what Celery says of each message."""

    def keep(**_: Any) -> None:
        """Celery sets up logs of its own where nobody listens to this signal."""

    signals.setup_logging.connect(keep, weak=False)
    # Its words on shutting down go to the terminal in plain text, past every logger.
    celery_worker.safe_say = lambda *_: None  # type: ignore[attr-defined]  # the stubs do not have it
    logging.captureWarnings(capture=True)
    # Who runs it is the image's business, which has a user of its own.
    warnings.simplefilter("ignore", category=SecurityWarning)
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.worker.request"):
        logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    main()
