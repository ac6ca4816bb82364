"""HTTP in and out, a module for each group of endpoints."""

from fastapi import APIRouter

from services.intent.api import embed, explain, inference_protocol, models, predict, understand

__all__ = ["DIRECT", "router"]

DIRECT = (understand.DIRECT,)
"""What is answered without FastAPI's routing."""

router = APIRouter()
for each in (understand, predict, embed, explain, models, inference_protocol):
    router.include_router(each.router)
