"""Limits for data from outside: bounded in size, and unchanged by a round trip through JSON."""

import hashlib
import json
import math
from typing import Any

from pydantic import JsonValue

__all__ = ["bounded", "digest"]

MAX_DEPTH = 8
MAX_ITEMS = 50
MAX_STRING = 1000
MAX_NODES = 500
MAX_CHARACTERS = 8000
ENCODER = json.JSONEncoder(sort_keys=True)
"""Made once: `json.dumps` with a setting makes one at each call."""


def bounded(value: Any) -> JsonValue:
    """The value as JSON; what is too deep, too long or no JSON at all is left out."""
    return Cutter().cut(value, MAX_DEPTH)


class Cutter:
    """Counts what was let through."""

    def __init__(self) -> None:
        self.nodes = MAX_NODES
        self.characters = MAX_CHARACTERS

    def text(self, value: str) -> str:
        """As much of a text as there is room for."""
        kept = value[: min(MAX_STRING, self.characters)]
        if not kept.isascii():
            kept = kept.encode("utf-8", "replace").decode()
        self.characters -= len(kept)
        return kept

    def cut(self, value: Any, depth: int) -> JsonValue:
        """One level of it."""
        self.nodes -= 1
        if depth == 0 or self.nodes < 0:
            return None
        match value:
            case bool() | None:
                return value
            case str():
                return self.text(value)
            case int():
                return value if abs(value) < 2**53 else self.text(hex(value))
            case float():
                return value if math.isfinite(value) else None
            case dict():
                pairs = list(value.items())[:MAX_ITEMS]
                return {self.text(key): self.cut(item, depth - 1) for key, item in pairs if isinstance(key, str)}
            case list() | tuple():
                return [self.cut(item, depth - 1) for item in value[:MAX_ITEMS]]
        return None


def digest(value: JsonValue) -> str:
    """A short name for a value: the same for the same value, in whatever order its keys are."""
    return hashlib.sha256(ENCODER.encode(value).encode()).hexdigest()[:16]
