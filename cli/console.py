"""Where the command line writes: results to standard output, everything else to standard error."""

import json
from typing import Any

from rich.console import Console

__all__ = ["err", "out", "write_json"]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def write_json(document: Any) -> None:
    """Writes `document` for a script to read: plain JSON, never wrapped, never coloured."""
    out.out(json.dumps(document, ensure_ascii=False, indent=2), highlight=False)
