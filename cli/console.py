"""Where the command line writes: results to standard output, everything else to standard error."""

import json
import logging
import sys
from typing import Any

import structlog
from rich.console import Console

__all__ = ["err", "keep_logs_out", "out", "write_json"]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def write_json(document: Any) -> None:
    """Writes `document` for a script to read: plain JSON, never wrapped, never coloured."""
    out.out(json.dumps(document, ensure_ascii=False, indent=2), highlight=False)


def keep_logs_out() -> None:
    """Sends what the services' code logs, from warnings on, to standard error: standard output is for results."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
