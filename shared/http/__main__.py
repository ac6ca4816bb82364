"""Runs one service as a process: `python -m shared.http <service>`.

What cannot be started says why in one sentence and an exit code: 2 for settings that cannot be used, 3 for a start that
failed. A stop that is asked for during the start takes effect at once; after one that came later the exit code is 0.
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
    "worker": "services.business.worker.service",
}
"""Where each service's `create_app` is."""

UNUSABLE_SETTINGS = 2
ENDED_BY_SIGNAL = 128


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the service that the command line names until it is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The first process of a container has no default for them: unhandled they would do nothing, and be lost.
        signal.signal(number, end)
    parser = argparse.ArgumentParser(prog="python -m shared.http", description="Runs one service.")
    parser.add_argument("service", choices=SERVICES)
    service: str = parser.parse_args(arguments).service

    # Only now what takes its time.
    from shared.http.server import UNUSABLE, load, server_of
    from shared.settings import explain

    try:
        app = load(SERVICES[service])
    except UNUSABLE as error:
        parser.exit(UNUSABLE_SETTINGS, f"The service {service} cannot start: {explain(error)}\n")
    server_of(app, service, before_start=end).run()


def end(number: int, _frame: FrameType | None = None) -> None:
    """Ends the process at once: nothing was accepted yet, and what is being loaded could hold up an orderly end."""
    os._exit(ENDED_BY_SIGNAL + number)


if __name__ == "__main__":
    main()
