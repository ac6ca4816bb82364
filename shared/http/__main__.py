"""Runs one service as a process: `python -m shared.http <service>`.

A failed start is reported in one sentence and by the exit code: 2 for unusable settings, 3 for anything else. A stop
signal during the start takes effect at once; a later one ends the process in good order with exit code 0.
"""

import argparse
import os
import signal
from collections.abc import Sequence
from types import FrameType

__all__ = ["SERVICES", "main"]

SERVICES = {
    "login": "services.login.app",
    "dialogue": "services.dialogue.app",
    "intent": "services.intent.app",
    "business": "services.business.app",
    "learning": "services.learning.app",
    "worker": "services.business.worker.service",
}
"""The module with each service's `create_app`."""

UNUSABLE_SETTINGS = 2
ENDED_BY_SIGNAL = 128


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the service that the command line names until a stop signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Process 1 of a container has no default handlers: an unhandled signal would be lost.
        signal.signal(number, end)
    parser = argparse.ArgumentParser(prog="python -m shared.http", description="Runs one service.")
    parser.add_argument("service", choices=SERVICES)
    service: str = parser.parse_args(arguments).service

    # Slow imports come after the signal handlers.
    from shared.http.server import UNUSABLE, load, server_of
    from shared.settings import explain

    try:
        app = load(SERVICES[service])
    except UNUSABLE as error:
        parser.exit(UNUSABLE_SETTINGS, f"The service {service} cannot start: {explain(error)}\n")
    server_of(app, service, before_start=end).run()


def end(number: int, _frame: FrameType | None = None) -> None:
    """Ends the process at once: nothing was accepted yet, and loading could delay an orderly end."""
    os._exit(ENDED_BY_SIGNAL + number)


if __name__ == "__main__":
    main()
