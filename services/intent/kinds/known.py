"""The kinds of model that this server can load."""

from collections.abc import Mapping
from typing import Final

from services.intent.kinds.kind import Kind
from services.intent.kinds.understanding.served import UnderstandingKind

__all__ = ["KINDS"]

KINDS: Final[Mapping[str, Kind]] = {each.name: each for each in (UnderstandingKind(),)}
"""By the name that manifests call them."""
