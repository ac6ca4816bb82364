"""HTTP in and out, a module for each group of endpoints."""

from collections.abc import Mapping

from fastapi import APIRouter

from services.intent.api import embed, explain, inference_protocol, models, predict, understand
from services.intent.kinds.kind import Kind

__all__ = ["DIRECT", "routers"]

DIRECT = (understand.DIRECT,)
"""What is answered without FastAPI's routing."""


def routers(kinds: Mapping[str, Kind]) -> list[APIRouter]:
    """All endpoints of a server of these kinds of model."""
    others = (each.router for each in (understand, embed, explain, models, inference_protocol))
    return [predict.router(kinds), *others]
