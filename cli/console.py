"""Where the command line writes: results to standard output, everything else to standard error."""

import json
import logging
import os
import re
import sys
from typing import Any, TextIO

import structlog
from rich.console import Console

__all__ = ["err", "harmless", "keep_logs_out", "out", "prepare_streams", "write_json"]

WIDE = 10_000
"""Columns of what is no terminal: a line of a table is a line there."""
ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[ -/]*[0-~])?|\x9b[0-?]*[ -/]*[@-~]"
)
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves the cursor, rings, or turns the direction of what follows."""


def _width(stream: TextIO | None) -> int | None:
    terminal = stream is not None and stream.isatty()
    return None if terminal or os.environ.get("COLUMNS") else WIDE


out = Console(highlight=False, width=_width(sys.stdout))
err = Console(stderr=True, highlight=False)


def prepare_streams() -> None:
    """Makes the standard streams usable whatever they are: closed ones are empty, what cannot be written is a mark."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def harmless(text: str) -> str:
    """What somebody else wrote, without the sequences by which it would command the terminal."""
    return CONTROLS.sub("", ESCAPES.sub("", text))


def write_json(document: Any) -> None:
    """Writes `document` for a script to read: plain JSON, never wrapped, never coloured."""
    out.out(json.dumps(document, ensure_ascii=False, indent=2), highlight=False)


def keep_logs_out() -> None:
    """Sends what the services' code logs, from warnings on, to standard error: standard output is for results."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
